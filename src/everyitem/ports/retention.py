"""Retention: what a store gives up of executions that finished long ago.

Items, outcomes, checkpoints and events go; the execution itself, its counts, the digest of its content and
its responses stay, so that the same document is still answered from the record.
"""

from typing import Protocol

import msgspec


class Expired(msgspec.Struct, frozen=True, kw_only=True):
    """A finished execution of which more is kept than needs to be."""

    execution_key: int
    batch_id: str
    execution: int
    item_count: int
    #: Epoch seconds.
    finished_at: float


class Retention(Protocol):
    """Gives up what has been kept long enough. Never of an execution that may still go on."""

    def expired(self, *, finished_before: float, limit: int | None = None) -> list[Expired]:
        """Executions that finished before then (epoch seconds) and of which something is left to give up.

        The oldest come first.
        """
        ...

    def prune(self, execution_key: int, *, finished_before: float) -> bool:
        """Give up items, outcomes, checkpoints and events of one execution.

        False when it is in use or has not been finished since before then: nothing was touched. Stopped in
        the middle, it is expired still, and pruning it again goes on.
        """
        ...

    def forget_events(self, *, received_before: float) -> int:
        """Give up events that came in before then (epoch seconds) and that nobody waits for; how many.

        Their batch has not come, or had finished before then. One that is sent again is new.
        """
        ...

    def close(self) -> None:
        """Free the connection."""
        ...
