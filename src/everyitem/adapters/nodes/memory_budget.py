"""The memory of one execution: the coordinator and the workers of all nodes, under `maxMemoryMb`."""

import os
import threading

from everyitem.adapters.nodes.memory_gauge import resident_memory
from everyitem.settings.machine import granted_memory

MB = 1 << 20

#: The heaviest worker of a node: whether it has items, and its bytes. One that has items outweighs all that
#: have none, since only an item can be ended.
Heaviest = tuple[bool, int]
NOBODY: Heaviest = (False, 0)


class MemoryBudget:
    """What the nodes of an execution take together. Used by the threads of all of them."""

    def __init__(self, max_memory_mb: int | None = None) -> None:
        """Without a ceiling, and where the machine has less, the machine's memory is what there is."""
        granted = granted_memory()
        wished = (max_memory_mb or 0) * MB
        #: Bytes the execution may take; 0 where no limit is known.
        self.ceiling = min(wished, granted) if wished and granted else wished or granted
        #: What sets the ceiling, in the words of messages.
        self.ceiling_name = "maxMemoryMb" if wished and self.ceiling == wished else "this machine's memory"
        self._lock = threading.Lock()
        #: By node: what its workers take, and the heaviest of them.
        self._nodes: dict[str, tuple[int, Heaviest]] = {}

    def coordinator(self) -> int:
        """Bytes the coordinator takes now, items of thread and async nodes included."""
        return resident_memory(os.getpid())

    def workers(self) -> int:
        """Bytes the workers of all process nodes took when they were last looked at."""
        with self._lock:
            return sum(total for total, _ in self._nodes.values())

    def report(self, node_id: str, total: int, heaviest: Heaviest) -> int:
        """Take note of what a process node takes; returns what the execution takes without the node."""
        with self._lock:
            self._nodes[node_id] = total, heaviest
            others = sum(one for name, (one, _) in self._nodes.items() if name != node_id)
        return others + self.coordinator()

    def is_heaviest(self, node_id: str) -> bool:
        """Whether no other node has a heavier worker: who is over the ceiling is ended there."""
        with self._lock:
            _, mine = self._nodes.get(node_id, (0, NOBODY))
            return all(heaviest <= mine for _, heaviest in self._nodes.values())

    def close(self, node_id: str) -> None:
        """A node takes nothing any more."""
        with self._lock:
            self._nodes.pop(node_id, None)
