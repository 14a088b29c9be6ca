"""Numbers in messages."""

from everyitem.model.wording import many


def test_one_is_no_plural() -> None:
    """`1 slots` reads like a mistake, and makes people look for one."""
    assert [many(number, "slot") for number in (0, 1, 12345)] == ["0 slots", "1 slot", "12,345 slots"]
