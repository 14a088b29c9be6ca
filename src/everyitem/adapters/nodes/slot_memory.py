"""The memory of a thread or async node, whose items share the coordinator's process.

Nothing there can be ended or replaced by itself: intake pauses, fewer items run at a time, and then the
node fails while everything recorded is safe. `memoryMb` limits by how much the process has grown since
the node started.
"""

import gc
import math
import time
from collections.abc import Callable

from everyitem.adapters.nodes.memory_budget import MB, MemoryBudget
from everyitem.adapters.nodes.memory_policy import END_AT, Measure, MemoryPolicy, Sight, look_again_in
from everyitem.adapters.nodes.shared_queue import SharedQueue


class SlotMemory:
    """Looks at the coordinator's memory for one node. Used by the node's thread only."""

    def __init__(
        self,
        node_id: str,
        queue: SharedQueue,
        *,
        slots: int,
        memory_mb: int | None,
        budget: MemoryBudget,
        on_limit: Callable[[int | None], None],
        on_end: Callable[[str], None],
    ) -> None:
        """Watch one node's memory.

        `on_limit(slots)` tells how many slots memory leaves (None: all of them); `on_end(reason)` is called
        when nothing but ending the node is left.
        """
        self._on_limit = on_limit
        self._node_id, self._queue, self._budget, self._on_end = node_id, queue, budget, on_end
        self._limit = (memory_mb or 0) * MB
        self._policy = MemoryPolicy(slots)
        self._next_look = 0.0
        self._start_bytes = 0

    def start(self) -> None:
        """What the process takes now is not the items' doing."""
        self._start_bytes = self._budget.coordinator()

    def resize(self, slots: int) -> None:
        """The node uses another number of slots."""
        is_limited = self._policy.resize(slots)
        self._queue.use_slots(slots)
        if not self._policy.is_paused:
            self._queue.limit_claims(self._policy.intake)
        if is_limited:
            self._on_limit(self._policy.left)

    def look(self) -> None:
        """Look if it is time to, and do what there is to do."""
        now = time.monotonic()
        if now < self._next_look:
            return
        used = self._budget.coordinator()
        limits = [
            (taken, base, limit)
            for taken, base, limit in (
                (used - self._start_bytes, 0, self._limit),
                (
                    used + self._budget.workers(),
                    self._start_bytes + self._budget.workers(),
                    self._budget.ceiling,
                ),
            )
            if limit
        ]
        self._next_look = now + look_again_in(
            min((limit * END_AT - taken for taken, _, limit in limits), default=math.inf)
        )
        pressure, base = max(
            ((taken / limit, base / limit) for taken, base, limit in limits), default=(0.0, 0.0)
        )
        running = len(self._queue.running())
        match self._policy.observe(now, Sight(pressure=pressure, running=running, busy=running, base=base)):
            case Measure.PAUSE:
                # what failed items left behind in cycles is freed before anything is given up
                gc.collect()
                self._queue.limit_claims(0)
            case Measure.SHRINK | Measure.RESUME:
                self._queue.limit_claims(self._policy.intake)
                self._on_limit(self._policy.left)
            case Measure.END:
                self._on_end(self._reason(used))

    def _reason(self, used: int) -> str:
        grown = used - self._start_bytes
        own = f"{grown // MB:,} MB of them since node {self._node_id} started"
        limits = [f"the node may take {self._limit // MB:,} MB (memoryMb)"] if self._limit else []
        limits.append(f"the execution {self._budget.ceiling // MB:,} MB ({self._budget.ceiling_name})")
        return (
            f"memory is used up: the coordinator takes {used // MB:,} MB, {own}; {', '.join(limits)}; "
            "lower parallelismLevel, or run items that need much memory on process nodes"
        )
