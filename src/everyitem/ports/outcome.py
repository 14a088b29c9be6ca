"""What became of items, as a store tells it."""

import msgspec

from everyitem.model.outcome import Failure
from everyitem.ports.doubt import Settlement


class FailedItem(msgspec.Struct, frozen=True):
    """One item that failed for good in a round; a row of its own, for `failures` and redrive."""

    index: int
    item_id: str
    attempts: int
    code: str
    type: str
    message: str
    #: Sum over the attempts of the round.
    duration_ms: float
    #: JSON text of the item, None where only listing was asked for.
    item: bytes | None = None
    #: (file, line, function), outermost first.
    frames: list[tuple[str, int, str]] = []


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """One item's latest recorded outcome, as `results` lists it."""

    index: int
    item_id: str
    succeeded: bool
    attempts: int
    duration_ms: float
    #: JSON text of the result, None for a failure.
    result: bytes | None = None
    code: str = ""
    type: str = ""
    message: str = ""
    #: The round it is of.
    round: int = 1


class HistoryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt of one item, for `explain`."""

    round: int
    attempt: int
    succeeded: bool
    final: bool
    duration_ms: float
    checkpoint: int
    recorded_at: float
    result: bytes | None = None
    failure: Failure | None = None
    logs: list[tuple[str, str]] = []
    #: A person settled this attempt, which was in doubt.
    settlement: Settlement | None = None
