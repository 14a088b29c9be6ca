"""Whole documents with planted faults, and exactly what is said about them.

Beside each `NAME.batch.json` stands `NAME.expected.txt`: the refusal code or ACCEPTED, then one line per
problem (`!`) and warning (`?`).
"""

from pathlib import Path

import pytest

from everyitem.faces.documents import read_document
from everyitem.model.errors import DocumentRefused
from everyitem.settings import Settings

FOLDER = Path(__file__).parent
DOCUMENTS = sorted(FOLDER.glob("*.batch.json"))


def said_about(document: Path) -> str:
    """What the reader says about a document, one line each."""
    try:
        batch = read_document(document, settings=Settings()).batch
    except DocumentRefused as refused:
        lines = [refused.refusal_code.value, *(f"! {problem}" for problem in refused.problems)]
    else:
        lines = ["ACCEPTED", *(f"? {warning}" for warning in batch.warnings)]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name.removesuffix(".batch.json"))
def test_every_planted_fault_is_reported_once(document: Path) -> None:
    """All problems of a document are said, each once, with its path, in these words."""
    expected = document.with_name(document.name.replace(".batch.json", ".expected.txt"))
    said = said_about(document)
    assert said == expected.read_text(encoding="utf-8")
    paths = [line.split(": ")[0] for line in said.splitlines() if line.startswith("!")]
    assert len(paths) == len(set(paths))
