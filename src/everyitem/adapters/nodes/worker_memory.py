"""The memory of a process node's workers: measured here, judged by `memory_policy.py`.

`memoryMb` is for the node as a whole and is not divided: a large item may use what its neighbours leave.
The limit of the execution counts the coordinator and the workers of all its nodes.
"""

import math
from collections.abc import Collection, Iterator
from typing import Final

from everyitem.adapters.nodes.memory_budget import MB, NOBODY, MemoryBudget
from everyitem.adapters.nodes.memory_gauge import OomKills
from everyitem.adapters.nodes.memory_policy import (
    END_AT,
    PAUSE_AT,
    Measure,
    MemoryPolicy,
    Sight,
    has_grown,
    look_again_in,
)
from everyitem.adapters.nodes.worker_process import Phase, Verdict, WorkerProcess
from everyitem.ports.node import Lease

_JUST_BELOW_THE_END: Final = END_AT - 0.001


class WorkerMemory:
    """Looks at the workers of one node. Used by the node's thread only."""

    def __init__(self, node_id: str, *, slots: int, memory_mb: int | None, budget: MemoryBudget) -> None:
        self._node_id, self._budget = node_id, budget
        self._limit = (memory_mb or 0) * MB
        self._policy = MemoryPolicy(slots)
        self._oom_kills = OomKills()
        self._next_look = 0.0
        #: Whether the last look found what concerns other nodes: a worker with items, or one to recycle.
        self._concerns_others = False
        #: Leases of idle workers that may not begin for now, the longest waiting first.
        self.parked: dict[str, Lease] = {}

    @property
    def is_active(self) -> bool:
        """Whether `look` must be called even if nothing runs.

        That is while anything is held back, and while other nodes may wait for what this one has said or has.
        """
        return self._policy.is_active or self._concerns_others

    def admits(self, busy: int) -> bool:
        """Whether another worker may begin items while so many are at work."""
        return busy < self._policy.intake

    def resize(self, slots: int) -> bool:
        """The node uses another number of slots. Whether memory leaves fewer of them than before."""
        return self._policy.resize(slots)

    @property
    def worth_starting(self) -> int:
        """For how many slots workers are of use."""
        return self._policy.parallelism

    @property
    def left(self) -> int | None:
        """How many slots memory leaves; None: as many as the node uses."""
        return self._policy.left

    def look(self, now: float, workers: Collection[WorkerProcess]) -> Measure:
        """What to do about memory now (monotonic seconds)."""
        if now < self._next_look:
            return Measure.HOLD
        # who was killed is as good as gone: its memory is being freed
        there = [worker for worker in workers if worker.verdict in (None, Verdict.RECYCLED)]
        sizes = [worker.memory.read() for worker in there]
        total = sum(sizes)
        has_items = [worker.lease is not None for worker in there]
        heaviest = max(zip(has_items, sizes, strict=True), default=NOBODY)
        others = self._budget.report(self._node_id, total, heaviest)
        is_recyclable = any(map(_is_recyclable, there))
        self._concerns_others = bool(self._budget.ceiling) and (any(has_items) or is_recyclable)
        fresh = sum(worker.fresh_bytes or worker.memory.bytes for worker in there)
        self._next_look = now + look_again_in(
            min(
                self._limit * END_AT - total if self._limit else math.inf,
                self._budget.ceiling * END_AT - total - others if self._budget.ceiling else math.inf,
            )
        )
        pressure, base, limit = max(
            self._pressures(total, fresh, others), key=lambda one: one[0], default=(0.0, 0.0, 1)
        )
        return self._policy.observe(
            now,
            Sight(
                pressure=pressure,
                running=sum(
                    worker.phase is not Phase.IDLE or worker.verdict is not None for worker in workers
                ),
                recyclable=is_recyclable,
                busy=sum(has_items),
                base=base,
                workers=len(there),
                worker=fresh / max(1, len(there)) / limit,
            ),
        )

    def _pressures(self, total: int, fresh: int, others: int) -> Iterator[tuple[float, float, int]]:
        """For each limit: memory in use over it, what of it was there without any item, and its bytes."""
        if self._limit:
            yield total / self._limit, fresh / self._limit, self._limit
        if ceiling := self._budget.ceiling:
            pressure = (total + others) / ceiling
            if not self._budget.is_heaviest(self._node_id):
                pressure = min(pressure, _JUST_BELOW_THE_END)  # whoever is to be ended is in another node
            yield pressure, (fresh + others) / ceiling, ceiling

    def culprit(self, workers: Collection[WorkerProcess]) -> WorkerProcess | None:
        """The worker whose item is to be ended: the largest that has grown; None: items are not at fault."""
        if self._is_coordinator_too_large():
            return None
        candidates = [
            worker
            for worker in workers
            if worker.verdict is None
            and worker.in_flight
            and has_grown(worker.memory.bytes, worker.fresh_bytes)
        ]
        return max(candidates, key=lambda worker: worker.memory.bytes, default=None)

    def is_hopeless(self, workers: Collection[WorkerProcess]) -> bool:
        """Whether neither the end of an item nor a fresh worker would free any memory."""
        return self._is_coordinator_too_large() or not any(
            worker.verdict is not None
            or (worker.phase is not Phase.STARTING and has_grown(worker.memory.bytes, worker.fresh_bytes))
            for worker in workers
        )

    def _is_coordinator_too_large(self) -> bool:
        ceiling = self._budget.ceiling
        return bool(ceiling) and self._budget.coordinator() >= ceiling * END_AT

    def recyclable(self, workers: Collection[WorkerProcess]) -> list[WorkerProcess]:
        """The idle workers that have grown."""
        return [worker for worker in workers if _is_recyclable(worker)]

    def limits_text(self) -> str:
        """The limits in force, in the words of messages."""
        parts = [f"node {self._node_id} may take {self._limit // MB:,} MB (memoryMb)"] if self._limit else []
        if ceiling := self._budget.ceiling:
            parts.append(f"the execution {ceiling // MB:,} MB ({self._budget.ceiling_name})")
        return ", ".join(parts)

    def without_culprit(self, workers: Collection[WorkerProcess]) -> str:
        """Why the node cannot go on though no item is to blame."""
        largest = max((worker.memory.bytes for worker in workers), default=0)
        return (
            f"memory is used up, and not by items: {len(workers)} workers take up to {largest // MB:,} MB "
            f"each before their items, the coordinator {self._budget.coordinator() // MB:,} MB; "
            f"{self.limits_text()}; give it more memory or fewer slots"
        )

    def kernel_killed(self, worker: WorkerProcess) -> str:
        """In what words the kernel killed a dead worker for lack of memory; empty where it did not.

        Certain where the control group's counter has risen, probable where the worker was that large.
        """
        if worker.verdict is not None or not worker.exit_text.endswith("SIGKILL"):
            return ""
        peak = worker.memory.peak
        size = f"it took {peak // MB:,} MB at its peak, as far as is known"
        if self._oom_kills.has_risen():
            return f"killed by the kernel for lack of memory; {size}"
        limit = self._limit or self._budget.ceiling
        if limit and peak >= limit * PAUSE_AT:
            return f"killed, probably by the kernel for lack of memory; {size}"
        return ""


def _is_recyclable(worker: WorkerProcess) -> bool:
    is_idle = worker.phase is Phase.IDLE and worker.verdict is None
    return is_idle and has_grown(worker.memory.bytes, worker.fresh_bytes)
