"""Items: ids, limits, strictness of Python values, positions in sources."""

import json
import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everyitem.adapters.sources import open_source
from everyitem.faces.documents import Overrides, items_intake, read_document
from everyitem.model.errors import DocumentRefused, ErrorCode
from everyitem.model.items import item_id_of
from everyitem.settings import Settings


@given(lengths=st.lists(st.integers(0, 7), min_size=1, max_size=30), most=st.integers(1, 6))
def test_a_long_line_is_found_by_leaps(lengths, most):
    """Among lines of any lengths, without a look at each."""
    lines = b"\n".join(b"x" * length for length in lengths)
    assert items_intake._has_long_line(lines, most) == (max(lengths) > most)


@pytest.mark.parametrize("place", [0, 255, 256, 2047, 2048, 2999])
def test_a_long_item_is_looked_at_wherever_it_stands(make, problems_of, place):
    """First or last of a block or chunk of values; the others are not in its way."""
    items = list(range(3000))
    items[place] = deep = []
    for _ in range(150):
        deep.append(deep := [])
    [(path, message)] = problems_of(make(batchItems=items)).items()
    assert path.startswith(f"$.batchItems[{place}][0][0]")
    assert "nested deeper than" in message


def test_large_values_are_taken_in_by_small_blocks(accept):
    """Whichever way the items came."""
    values = ["x" * 100_000] * 30
    items = accept(batchItems=values).batch.items
    assert json.loads(items.text([29, 3])) == values[:2]
    assert max(items._text._firsts[k + 1] - first for k, first in enumerate(items._text._firsts[:-1])) == 10


def test_an_item_with_an_id_of_its_own_has_no_position_id(accept):
    """Numeric ids that look like positions are fine while every item has its own."""
    read = accept(batchItems=[{"itemId": str(k)} for k in (1, 2, 3, 0)])
    assert read.batch.items.named
    assert item_id_of(b'{"itemId":"1"}', 0) == "1"


def test_an_id_equal_to_its_own_position_is_fine(accept):
    """Item 1 may call itself "1"."""
    assert accept(batchItems=["x", {"itemId": "1"}, "y"]).batch.items.named


def test_items_without_ids_are_not_named(accept):
    """Positions name them; workers need not look for ids."""
    assert not accept(batchItems=[1, {"a": 1}, [{"itemId": "inside"}]]).batch.items.named


@pytest.mark.parametrize("gap", [0, 5000])
def test_duplicates_are_found_across_chunks(make, problems_of, gap):
    """However far apart two items are, their ids are compared."""
    items = [{"itemId": "same"}, *range(gap), {"itemId": "same"}]
    assert problems_of(make(batchItems=items)) == {
        f"$.batchItems[{gap + 1}].itemId": "itemId 'same' is already the id of item 0"
    }


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ((1, 2), "tuple is not a JSON type"),
        ({1}, "set is not a JSON type"),
        (b"x", "bytes is not a JSON type"),
        (Decimal("1.5"), "Decimal is not a JSON type"),
        (object(), "object is not a JSON type"),
        (math.nan, "NaN is not a JSON value"),
        (-math.inf, "-Infinity is not a JSON value"),
        (10**400, "beyond the range of a double"),
        ("\ud800", "lone surrogate"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_python_values_that_are_not_json_are_refused_by_path(make, problems_of, value, words):
    """Nothing is quietly turned into something else: the culprit is named where it stands."""
    problems = problems_of(make(batchItems=[{"fine": 1}, {"a": [0, value]}]))
    assert list(problems) == ["$.batchItems[1].a[1]"]
    assert words in problems["$.batchItems[1].a[1]"]


def test_keys_that_are_no_strings_are_refused(make, problems_of):
    """{1: 2} is no JSON object."""
    assert problems_of(make(batchItems=[{1: 2}])) == {
        "$.batchItems[0][1]": "object keys must be strings, not int"
    }


def test_a_value_that_contains_itself_is_refused(make, problems_of):
    """A cycle nests deeper than any limit."""
    endless: list = []
    endless.append(endless)
    (message,) = problems_of(make(batchItems=[endless])).values()
    assert message == "nested deeper than 100 levels (maxDepth)"


@pytest.mark.parametrize("form", ["text", "values", "jsonl"])
@pytest.mark.parametrize("wrap", [("[", "]"), ('{"a":', "}")], ids=["arrays", "objects"])
def test_every_depth_is_accepted_or_refused(make, tmp_path, form, wrap):
    """Up to the limit accepted, beyond it refused, also where parsers reach the end of their stacks."""
    for depth in [*range(98, 104), *range(860, 1010, 3)]:
        item = wrap[0] * depth + "0" + wrap[1] * depth
        path = tmp_path / "items.jsonl"
        path.write_text(item)
        overrides = None
        if form == "text":
            given = json.dumps(make(batchItems=["HERE"])).replace('"HERE"', item).encode()
        elif form == "values":
            value: object = 0
            for _ in range(depth):
                value = [value] if wrap[0] == "[" else {"a": value}
            given = make(batchItems=[value])
        else:
            given, overrides = make(batchItems=[]), Overrides(items=str(path))

        def read(given=given, overrides=overrides):
            return read_document(given, settings=Settings(), overrides=overrides, open_source=open_source)

        if depth <= 100:
            assert len(read().batch.items) == 1
        else:
            with pytest.raises(DocumentRefused) as refused:
                read()
            assert refused.value.refusal_code is ErrorCode.ITEM_ERROR
            assert [problem.message for problem in refused.value.problems] == [
                "nested deeper than 100 levels (maxDepth)"
            ]


def test_a_level_within_the_limit_is_fine(accept):
    """100 levels are the limit, and allowed."""
    item: object = 0
    for _ in range(100):
        item = [item]
    assert len(accept(batchItems=[item]).batch.items) == 1


def test_a_long_item_with_many_small_parts_is_fine(accept):
    """Depth counts, not the number of brackets, nor brackets inside texts."""
    assert len(accept(batchItems=[[[] for _ in range(500)], "[" * 500, {"a": ['"[' * 300]}]).batch.items) == 3


def test_long_runs_of_digits_in_a_text_are_fine(accept):
    """Only numbers have a range."""
    assert len(accept(batchItems=["7" * 5000, {"n": 10**300}]).batch.items) == 2


def test_every_faulty_item_is_named(make, problems_of):
    """100,000 faults are 100,000 problems: the response caps what it shows, not what is found."""
    assert len(problems_of(make(batchItems=[math.nan] * 10_000))) == 10_000


def read_items(make, path, settings=None):
    """Items of a file given with `--items`."""
    return read_document(
        make(batchItems=[]),
        settings=settings or Settings(),
        overrides=Overrides(items=str(path)),
        open_source=open_source,
    ).batch.items


def refused_items(make, path, settings=None):
    """What is wrong with the items of a file: {position: message}."""
    with pytest.raises(DocumentRefused) as refused:
        read_items(make, path, settings)
    return {problem.path: problem.message for problem in refused.value.problems}


def test_jsonl_faults_carry_their_line(make, tmp_path):
    """Every faulty line is said with its number; blank lines count."""
    path = tmp_path / "items.jsonl"
    path.write_bytes(
        b'{"itemId":"a"}\n\n{"a":NaN}\n1,2\n[1\n2]\n{"itemId":"a"}\n"\xff"\n"\\ud800"\n\xef\xbb\xbf5\n'
    )
    assert refused_items(make, path) == {
        "items.jsonl:3 $.a": "NaN is not a JSON value",
        "items.jsonl:4": "not valid JSON: Extra data at character 2",
        "items.jsonl:5": "not valid JSON: Expecting ',' delimiter at character 3",
        "items.jsonl:6": "not valid JSON: Extra data at character 2",
        "items.jsonl:7": "itemId 'a' is already the id of item 0",
        "items.jsonl:8": "not UTF-8: byte 0xff at byte 1 of the item",
        "items.jsonl:9": "lone surrogate \\ud800 at character 0 of the text",
        "items.jsonl:10": "not valid JSON: Unexpected UTF-8 BOM (decode using utf-8-sig) at character 1",
    }


def test_two_broken_lines_cannot_make_a_whole_one(make, tmp_path):
    """`[1` and `2]` are two faults, also where another line makes up for the count."""
    path = tmp_path / "items.jsonl"
    path.write_text("[1\n2]\n3,4\n")
    assert list(refused_items(make, path)) == ["items.jsonl:1", "items.jsonl:2", "items.jsonl:3"]


@pytest.mark.parametrize(
    ("content", "position", "words"),
    [
        ("1\n".encode("utf-16"), "items.jsonl:1", "UTF-16"),
        ("1\n".encode("utf-32-be"), "items.jsonl:1", "UTF-"),
    ],
)
def test_a_jsonl_file_in_another_encoding_is_refused_by_name(make, tmp_path, content, position, words):
    """The encoding is named, once, at the first line."""
    path = tmp_path / "items.jsonl"
    path.write_bytes(content)
    problems = refused_items(make, path)
    assert list(problems) == [position]
    assert words in problems[position]


def test_a_source_has_the_batch_s_ceiling_unless_the_operator_raises_it(make, tmp_path):
    """`maxBatchSize` limits sources too; `maxSourceItems` is the operator's to raise."""
    path = tmp_path / "items.jsonl"
    path.write_text("1\n" * 5)
    assert refused_items(make, path, Settings(max_batch_size=4)) == {
        "items.jsonl": "more than 4 items; that is the limit (maxBatchSize)"
    }
    assert len(read_items(make, path, Settings(max_batch_size=4, max_source_items=5))) == 5
    assert "maxSourceItems" in str(refused_items(make, path, Settings(max_source_items=4)))


def test_item_faults_alone_are_an_item_error(make):
    """The refusal's code says that the envelope is fine."""
    with pytest.raises(DocumentRefused) as refused:
        read_document(make(batchItems=[{"itemId": 5}]), settings=Settings())
    assert refused.value.refusal_code is ErrorCode.ITEM_ERROR
