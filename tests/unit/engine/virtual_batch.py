"""A batch in virtual time: the real state machine, one thread node, and item processors that take their time.

Nothing waits and nothing runs: the next thing that happens is the end of a call or a moment the state machine
asked to be woken at. The slots of the node share one queue, as those of a thread node do.
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

NODE, HOLDER = "n", "n/1"

#: What a call that begins at a moment for an item comes to: seconds, and why it failed.
Call = Callable[[float, int, int], tuple[float, Failure | None]]


@dataclass
class _Running:
    lease: Lease
    indices: deque[int]
    begun: int = 0
    ended: int = 0


class VirtualBatch:
    """Runs a batch to its end."""

    def __init__(self, items: int, call: Call, *, slots: int, most: int | None = None, **more: Any) -> None:
        """`most`: without it the number of slots is fixed."""
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
        #: Calls made, by index.
        self.calls = [0] * items
        self._slots, self._busy = slots, 0
        self._leases: dict[int, _Running] = {}
        self._ends: list[tuple[float, int, int, int, float, Failure | None]] = []
        self._wake_at: float | None = None
        self._number = 0

    def run(self) -> "VirtualBatch":
        """To the end; `now` is then how long it took."""
        self._tell(HolderJoined(self.now, HOLDER, NODE, self._slots, True))
        while self.verdict is None:
            self._begin_calls()
            end = self._ends[0][0] if self._ends else None
            times = [at for at in (end, self._wake_at) if at is not None]
            assert times, "nothing will ever happen again"
            self.now = max(self.now, min(times))
            if end is not None and end <= self.now:
                self._end_call()
            else:
                self._tell(TimePassed(self.now))
        return self

    def _begin_calls(self) -> None:
        for running in self._leases.values():
            while running.indices and self._busy < self._slots:
                index = running.indices.popleft()
                seconds, failure = self._call(self.now, index, running.lease.attempt)
                running.begun += 1
                self.calls[index] += 1
                self._busy += 1
                self._number += 1
                end = (
                    self.now + seconds,
                    self._number,
                    running.lease.lease_id,
                    index,
                    seconds,
                    failure,
                )
                heapq.heappush(self._ends, end)

    def _end_call(self) -> None:
        _, _, lease_id, index, seconds, failure = heapq.heappop(self._ends)
        self._busy -= 1
        running = self._leases[lease_id]
        running.ended += 1
        block = OutcomeBlock([], [failure]) if failure else successes([index], running.lease.attempt)
        for run in block.successes:
            run.durations_us[:] = [round(seconds * 1e6)]
        is_over = not running.indices and running.ended == running.begun
        kind = SliceFinished if is_over else OutcomesArrived
        if is_over:
            del self._leases[lease_id]
        self._tell(kind(self.now, HOLDER, lease_id, block))

    def _tell(self, message: Any) -> None:
        waiting: deque[Any] = deque([message])
        while waiting:
            for command in self.state.handle(waiting.popleft()):
                waiting.extend(self._follow(command))

    def _follow(self, command: Command) -> Sequence[Any]:
        """Do as told; returns what there is to say to it."""
        match command:
            case RunSlice(lease=lease):
                self._leases[lease.lease_id] = _Running(lease, deque(lease.indices))
            case RevokeSlice(lease_id=lease_id) if lease_id in self._leases:
                running = self._leases[lease_id]
                running.indices.clear()
                shortened = SliceShortened(self.now, HOLDER, lease_id, running.begun)
                if running.begun > running.ended:
                    return [shortened]
                del self._leases[lease_id]
                return [shortened, SliceFinished(self.now, HOLDER, lease_id, successes([]))]
            case ResizeNode(slots=slots):
                self._slots = slots
            case SaveCheckpoint(ticket=ticket):
                return [CheckpointSaved(self.now, ticket)]
            case WakeAt(at=at):
                self._wake_at = at
            case Finish(verdict=verdict):
                self.verdict = verdict
        return []
