"""Slices on their way through Dask: one for each holder at most."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from everyitem.model.outcome import OutcomeBlock
from everyitem.ports.node import Lease


@dataclass(eq=False, slots=True)
class Flight:
    """One lease, and the Dask task that carries it at the moment."""

    holder: str
    lease: Lease
    #: Items of the lease that were sent, from its first one on.
    sent: int
    submitted_at: float
    #: How often the slice was handed to Dask.
    tries: int = 0
    future: Any = None
    #: Address of the worker that has begun it, or that it was given to; empty while Dask decides.
    worker: str = ""
    has_begun: bool = False
    #: Blocks of outcomes that have arrived, and the items they are about.
    blocks: int = 0
    answered: set[int] = field(default_factory=set)
    #: Set once the engine wants back what is unstarted, and once it has been told what that is.
    revoked: bool = False
    shortened: bool = False
    said_long: bool = False
    #: The item at hand, and when it was begun (monotonic seconds), as last seen.
    index: int | None = None
    since: float = 0.0

    @property
    def indices(self) -> Sequence[int]:
        """The items that were sent."""
        return self.lease.indices[: self.sent]

    @property
    def unanswered(self) -> list[int]:
        """Items sent without an outcome: those that were begun are among them."""
        return [index for index in self.indices if index not in self.answered]

    def take(self, first: int, blocks: list[OutcomeBlock]) -> OutcomeBlock:
        """What of these blocks, of which the first is number `first`, is new; joined to one."""
        new = blocks[max(0, self.blocks - first) :]
        self.blocks = max(self.blocks, first + len(blocks))
        joined = OutcomeBlock([], [], [])
        for block in new:
            joined.successes += block.successes
            joined.failures += block.failures
            joined.logs += block.logs
        for run in joined.successes:
            self.answered.update(run.indices())
        self.answered.update(failure.index for failure in joined.failures)
        return joined
