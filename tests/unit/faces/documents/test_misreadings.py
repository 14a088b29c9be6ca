"""Files that are read otherwise than they are meant: said, never refused."""

import pytest

from everyitem import compose
from everyitem.faces.documents import read_document
from everyitem.faces.documents.overrides import Overrides
from everyitem.settings import Settings


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.jsonl", '[{"a": 1}, {"a": 2}]\n', "one item on each line"),
        ("x.json", "[[1, 2]]", "one item on each line"),
        ("x.csv", "itemId;name\na;x\n", "names one field, 'itemId;name'"),
        ("x.csv", "itemId\tname\na\tx\n", "`delimiter`"),
    ],
)
def test_what_is_hardly_meant_so_is_a_warning(make, tmp_path, name, content, said):
    """One item instead of two, or one field instead of two, is found out late otherwise."""
    (tmp_path / name).write_text(content)
    read = read_document(
        make(batchItems=[]),
        settings=Settings(),
        overrides=Overrides(items=str(tmp_path / name)),
        open_source=compose.open_source,
    )
    (warning,) = read.batch.warnings
    assert said in str(warning)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.jsonl", "[1]\n[2]\n"),
        ("x.jsonl", '{"a": []}\n'),
        ("x.jsonl", ""),
        ("x.csv", "itemId,a;b\n1,2\n"),
        ("x.csv", "name\na;b\n"),
    ],
)
def test_what_may_well_be_meant_is_not(make, tmp_path, name, content):
    """Also items that are lists."""
    (tmp_path / name).write_text(content)
    read = read_document(
        make(batchItems=[]),
        settings=Settings(),
        overrides=Overrides(items=str(tmp_path / name)),
        open_source=compose.open_source,
    )
    assert read.batch.warnings == ()
