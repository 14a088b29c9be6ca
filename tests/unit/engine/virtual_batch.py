"""A batch in virtual time: the real state machine, one node, and item processors that take their time.

Nothing waits and nothing runs: the next thing that happens is the end of a call, the start of a worker, or a
moment the state machine asked to be woken at.
"""

import heapq
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.unit.engine.driver import successes

from everyitem.engine.messages import (
    CheckpointSaved,
    Command,
    Finish,
    ResizeNode,
    RevokeSlice,
    RunSlice,
    SaveCheckpoint,
    TimePassed,
    Verdict,
    WakeAt,
)
from everyitem.engine.state import ExecutionState
from everyitem.model.configuration import ProcessingConfiguration
from everyitem.model.outcome import Failure, OutcomeBlock
from everyitem.model.plan import partition_items
from everyitem.ports.node import HolderJoined, Lease, OutcomesArrived, SliceFinished, SliceShortened

NODE = "n"
#: Virtual seconds no batch here takes.
LONGEST = 86_400.0

#: What a call that begins at a moment for an item comes to: seconds, and why it failed.
Call = Callable[[float, int, int], tuple[float, Failure | None]]


@dataclass
class _Running:
    holder: str
    lease: Lease
    indices: deque[int]
    begun: int = 0
    ended: int = 0


class VirtualBatch:
    """Runs a batch to its end."""

    def __init__(
        self,
        items: int,
        call: Call,
        *,
        slots: int,
        most: int | None = None,
        arriving: Callable[[int], float] | None = None,
        **more: Any,
    ) -> None:
        """`most`: without it the number of slots is fixed.

        The slots share one queue, as those of a thread node; with `arriving` each is a worker, as those of a
        process node, that is there so many seconds after it is needed as its number says.
        """
        self._call = call
        chance = random.Random(1)
        self.state = ExecutionState(
            ProcessingConfiguration(processor="p", adapts=most is not None, **more),
            recorded=bytearray(items),
            nodes=[(NODE, slots)],
            partitions=partition_items(items, 1),
            at=0.0,
            chance=chance.random,
            allocated=[(NODE, most)] if most else (),
        )
        self.now = 0.0
        self.verdict: Verdict | None = None
        #: Changes of the number of slots: when, and to which.
        self.changes: list[tuple[float, int]] = []
        self._arriving = arriving
        self._workers = 0
        #: Slots of each holder, and how many of them are busy.
        self._slots: dict[str, int] = {}
        self._busy: dict[str, int] = {}
        self._leases: dict[int, _Running] = {}
        self._coming: list[tuple[float, int, Callable[[], None]]] = []
        self._wake_at: float | None = None
        self._number = 0
        self._use(slots)

    def run(self) -> "VirtualBatch":
        """To the end; `now` is then how long it took."""
        while self.verdict is None:
            self._begin_calls()
            coming = self._coming[0][0] if self._coming else None
            times = [at for at in (coming, self._wake_at) if at is not None]
            assert times, "nothing will ever happen again"
            self.now = max(self.now, min(times))
            assert self.now < LONGEST, "it goes on for ever"
            if coming is not None and coming <= self.now:
                heapq.heappop(self._coming)[2]()
            else:
                self._tell(TimePassed(self.now))
        return self

    def _use(self, slots: int) -> None:
        """Have so many slots, now or in a while."""
        if self._arriving is not None:
            while self._workers < slots:
                self._workers += 1
                self._later(self._arriving(self._workers), self._join, f"{NODE}/{self._workers}", 1)
        elif not self._slots:
            self._later(0.0, self._join, f"{NODE}/1", slots)
        else:
            self._slots[f"{NODE}/1"] = slots

    def _later(self, seconds: float, what: Callable[..., None], *given: Any) -> None:
        self._number += 1
        heapq.heappush(self._coming, (self.now + seconds, self._number, lambda: what(*given)))

    def _join(self, holder: str, slots: int) -> None:
        self._slots[holder], self._busy[holder] = slots, 0
        self._tell(HolderJoined(self.now, holder, NODE, slots, self._arriving is None))

    def _begin_calls(self) -> None:
        for running in self._leases.values():
            while running.indices and self._busy[running.holder] < self._slots[running.holder]:
                index = running.indices.popleft()
                seconds, failure = self._call(self.now, index, running.lease.attempt)
                running.begun += 1
                self._busy[running.holder] += 1
                self._later(seconds, self._end_call, running, index, seconds, failure)

    def _end_call(self, running: _Running, index: int, seconds: float, failure: Failure | None) -> None:
        self._busy[running.holder] -= 1
        running.ended += 1
        block = OutcomeBlock([], [failure]) if failure else successes([index], running.lease.attempt)
        for run in block.successes:
            run.durations_us[:] = [round(seconds * 1e6)]
        lease_id = running.lease.lease_id
        is_over = not running.indices and running.ended == running.begun
        kind = SliceFinished if is_over else OutcomesArrived
        if is_over:
            del self._leases[lease_id]
        self._tell(kind(self.now, running.holder, lease_id, block))

    def _tell(self, message: Any) -> None:
        waiting: deque[Any] = deque([message])
        while waiting:
            for command in self.state.handle(waiting.popleft()):
                waiting.extend(self._follow(command))

    def _follow(self, command: Command) -> Sequence[Any]:
        """Do as told; returns what there is to say to it."""
        match command:
            case RunSlice(holder=holder, lease=lease):
                self._leases[lease.lease_id] = _Running(holder, lease, deque(lease.indices))
            case RevokeSlice(holder=holder, lease_id=lease_id) if lease_id in self._leases:
                running = self._leases[lease_id]
                running.indices.clear()
                shortened = SliceShortened(self.now, holder, lease_id, running.begun)
                if running.begun > running.ended:
                    return [shortened]
                del self._leases[lease_id]
                return [shortened, SliceFinished(self.now, holder, lease_id, successes([]))]
            case ResizeNode(slots=slots):
                self.changes.append((self.now, slots))
                self._use(slots)
            case SaveCheckpoint(ticket=ticket):
                return [CheckpointSaved(self.now, ticket)]
            case WakeAt(at=at):
                self._wake_at = at
            case Finish(verdict=verdict):
                self.verdict = verdict
        return []
