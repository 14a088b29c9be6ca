"""Which URLs documents and events may make this machine ask."""

import pytest

from everyitem.adapters.sources.reach import Reach
from everyitem.ports.source import SourceUnavailable

REACH = Reach({"http": {"allow": ["https://files.example/batches/"]}})


@pytest.mark.parametrize("path", ["a.json", "2026/a.json?version=1", "a..b.json", "%20a.json"])
def test_what_lies_below_what_the_operator_allows_may_be_asked_for(path: str) -> None:
    """However deep, and whatever its name."""
    assert REACH.allowed(f"https://files.example/batches/{path}")


@pytest.mark.parametrize(
    "url",
    [
        "https://files.example/secret/a.json",
        "https://files.example/batches/../secret/a.json",
        "https://files.example/batches/%2e%2e/secret/a.json",
        "https://files.example/batches/%2E%2e%2fsecret/a.json",
        "https://files.example/batches/..%5csecret/a.json",
        "https://files.example/batches\\..\\secret/a.json",
        "https://files.example/batchesbeside/a.json",
        "http://files.example/batches/a.json",
        "https://files.example:444/batches/a.json",
        "https://files.example@elsewhere.example/batches/a.json",
        "file:///batches/a.json",
    ],
)
def test_nothing_else_may_be_asked_for(url: str) -> None:
    """Neither beside it nor above, however the way there is written."""
    with pytest.raises(SourceUnavailable, match="does not allow"):
        REACH.allowed(url)
