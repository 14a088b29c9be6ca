"""Crews: how the workers of a node run, as threads or as coroutines on one event loop.

A worker repeats: claim, work, hand in. When the watcher gives up on its item the worker is abandoned: it is
left to end by itself, its late outcome is dropped, and a new worker takes its place.
"""

from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

from everyitem.adapters.nodes.claims import Claim, next_size
from everyitem.adapters.nodes.shared_queue import SharedQueue
from everyitem.work.context import BatchView
from everyitem.work.loop import Slot
from everyitem.work.processors import ItemProcessor

#: Seconds a closing node waits for its idle workers and for `teardown`.
GRACE: Final = 2.0

#: Called with the exception when a worker itself breaks (never for what an item does).
OnBreak = Callable[[BaseException], None]


class Worker:
    """One slot of the node, as the node sees it."""

    def __init__(self, name: str, processor: ItemProcessor, batch: BatchView) -> None:
        self.name = name
        self.slot = Slot(processor, batch, restores_directory=False)
        #: What it works on now.
        self.claim: Claim | None = None
        #: Items its next claim asks for.
        self.size = self._smallest = processor.chunk_size or 1
        #: Items finished in claims it has handed in.
        self.done = 0
        #: Nobody relies on it any more: it is to end as soon as it can.
        self.is_abandoned = False

    def hand_in(self, queue: SharedQueue, claim: Claim, stopped: int) -> bool:
        """Hand in a claim and choose the size of the next; False when the worker was abandoned."""
        if not queue.hand_in(claim, stopped):
            return False
        self.claim = None
        self.done += stopped - claim.stretch.first
        self.size = next_size(self.size, took=claim.outcomes.took(), smallest=self._smallest)
        return True


CrewWorker = TypeVar("CrewWorker", bound=Worker)


class Crew(Protocol[CrewWorker]):
    """Starts, wakes and abandons workers of one kind."""

    def start(self) -> None:
        """Be ready for `run_hook` and `hire`; raises `RuntimeError` or `OSError` where that is impossible."""
        ...

    def run_hook(self, hook: Callable[[], Any] | None) -> None:
        """Run `setup` or `teardown` where the workers run; raises what it raises."""
        ...

    def hire(self, name: str, on_break: OnBreak) -> CrewWorker:
        """Let a new worker run until the queue closes; raises `RuntimeError` where it cannot be started."""
        ...

    def wake(self, count: int) -> None:
        """Up to `count` idle workers look at the queue (called under the queue's lock)."""
        ...

    def abandon(self, worker: CrewWorker) -> None:
        """Stop relying on a worker, ending what it runs if that is possible."""
        ...

    def is_running(self, worker: CrewWorker) -> bool:
        """Whether the worker still occupies its thread or task."""
        ...

    def recover(self) -> bool:
        """Get going again when one item keeps all workers from running; True: hire all workers anew."""
        ...

    def end(self, workers: list[CrewWorker]) -> bool:
        """After the queue was closed: wait for idle workers; returns whether all have ended."""
        ...

    def close(self) -> None:
        """Free what the crew itself holds; it need not have been started."""
        ...
