"""The files of a folder as items."""

import json
import os
from pathlib import Path

import pytest

from everyitem.adapters.sources import open_source
from everyitem.ports.source import SourceSpec, SourceUnavailable


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files, hidden ones, a folder, a link out of it and a pipe."""
    inbox = tmp_path / "inbox"
    (inbox / "deeper").mkdir(parents=True)
    for name in ("b.csv", "a.csv", "c.txt", ".hidden.csv", "deeper/d.csv"):
        (inbox / name).write_text(name)
    (tmp_path / "secret.csv").write_text("secret")
    (inbox / "link.csv").symlink_to(tmp_path / "secret.csv")
    (inbox / "up").symlink_to(tmp_path)
    os.mkfifo(inbox / "pipe.csv")
    return inbox


def items(folder: Path, **options: object) -> list[dict[str, object]]:
    source = open_source(
        SourceSpec(kind="directory", reference=folder.name, base=str(folder.parent), options=options)
    )
    return [json.loads(text) for chunk in source.chunks() for text in chunk.texts]


def test_each_file_is_an_item_in_the_order_of_names(folder: Path) -> None:
    """With where it is and how long; links, pipes and hidden files are none."""
    found = items(folder)
    assert [one["itemId"] for one in found] == ["a.csv", "b.csv", "c.txt"]
    assert Path(str(found[0]["path"])).read_text() == "a.csv"
    assert found[0]["bytes"] == 5
    assert str(found[0]["modifiedAt"]).endswith("Z")


def test_pattern_and_depth_choose_the_files(folder: Path) -> None:
    """The id is the path below the folder; links to folders are not followed."""
    assert [one["itemId"] for one in items(folder, pattern="*.csv", recursive=True)] == [
        "a.csv",
        "b.csv",
        "deeper/d.csv",
    ]


def test_more_files_than_a_chunk_keep_their_order(tmp_path: Path) -> None:
    """Listed in full first."""
    for number in range(2500):
        (tmp_path / f"{number:05}").touch()
    assert [one["itemId"] for one in items(tmp_path)] == [f"{number:05}" for number in range(2500)]


@pytest.mark.parametrize("options", [{"pattern": 3}, {"pattern": ""}, {"recursive": "yes"}])
def test_options_that_make_no_sense_are_refused(folder: Path, options: dict[str, object]) -> None:
    """Before anything is read."""
    with pytest.raises(SourceUnavailable):
        items(folder, **options)


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    """With its name."""
    with pytest.raises(SourceUnavailable, match="no such folder"):
        items(tmp_path / "none")
