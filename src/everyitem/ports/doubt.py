"""At-most-once: items that may have been called, and what a person says of those in doubt."""

from enum import StrEnum

import msgspec


class Decision(StrEnum):
    """What a person says about an item in doubt."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    AGAIN = "again"


class Settlement(msgspec.Struct, frozen=True, gc=False):
    """A person's decision about an item in doubt; recorded in a segment, and so part of the chain."""

    index: int
    decision: Decision
    #: Who decided (user@host), and when (epoch seconds).
    by: str
    at: float
    #: Why, as that person said.
    reason: str = ""
    #: JSON text of the result, where it succeeded and has one.
    result: bytes = b"null"
    #: The attempt that was in doubt, and why it was.
    attempt: int = 0
    doubt: str = ""


class Intent(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An at-most-once item that may be called from now on: on disk before it is, gone with its outcome."""

    index: int
    attempt: int
    #: Why its outcome will not come, once that is known: then it is in doubt. Empty while it may run.
    doubt: str = ""


#: Why items are in doubt that a run left with an intent and without an outcome.
LEFT_BEHIND = "the run ended without recording what came of it"
