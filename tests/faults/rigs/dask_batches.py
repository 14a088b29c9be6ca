"""Batches on Dask clusters that are killed meanwhile, and what must be true of them afterwards."""

import random
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.services.dask import DaskCluster

import everyitem
from everyitem import Response

#: The item processor: a file, which the node sends to the workers.
PROCESSORS = Path(__file__).with_name("dask_sleeper.py")


class DaskBatch:
    """Items that sleep, on nodes of a cluster, with notes of every call."""

    def __init__(self, folder: Path, count: int, *, seconds: float = 0.02) -> None:
        self.folder, self.count, self.seconds = folder, count, seconds
        self.notes = folder / "calls"
        self.notes.touch()
        self.batch_id = f"dask-{uuid.uuid4().hex[:8]}"
        self.done = 0
        self._waiting: list[tuple[int, Callable[[], object]]] = []
        self._doing: list[threading.Thread] = []

    def at(self, done: int, what: Callable[[], object]) -> None:
        """Do something, in a thread of its own, once so many items have an outcome."""
        self._waiting.append((done, what))

    def run(self, nodes: Sequence[Mapping[str, Any]], **configuration: Any) -> Response:
        """Execute it."""
        slots = sum(node["slots"] for node in nodes)
        document = {
            "batchId": self.batch_id,
            "batchItems": list(range(self.count)),
            "parallelismLevel": slots,
            "processingConfiguration": {
                "processor": "dask-sleeper",
                "parameters": {"notes": str(self.notes), "seconds": self.seconds},
                **configuration,
            },
            "allocatedResources": {"nodes": list(nodes), "maxParallelism": slots},
            "executionPlan": {},
        }
        response = everyitem.run(
            document,
            processors=PROCESSORS,
            store=f"sqlite:///{self.folder / 'store.sqlite'}",
            on_progress=self._progress,
        )
        for thread in self._doing:
            thread.join()
        return response

    def _progress(self, snapshot: everyitem.Snapshot) -> None:
        self.done = snapshot.succeeded
        for due in [one for one in self._waiting if one[0] <= self.done]:
            self._waiting.remove(due)
            self._doing.append(threading.Thread(target=due[1], daemon=True))
            self._doing[-1].start()

    def calls(self) -> tuple[Counter[int], Counter[int]]:
        """How often each item was begun, and how often it came to its end."""
        lines = self.notes.read_text().split()
        begun, ended = (
            Counter(int(line[1:]) for line in lines if line.startswith(mark)) for mark in ("+", "-")
        )
        return begun, ended

    def check(self, response: Response) -> None:
        """Every item has exactly one outcome, and it is the right one; nobody was charged for a loss."""
        assert response.ok, response.to_json()
        results = [(one.index, one.attempts, one.result) for one in response.results()]
        assert results == [(n, 1, {"item": n, "square": n * n}) for n in range(self.count)]
        assert (response.items_successful, response.items_failed) == (self.count, 0)


def dask_node(cluster: DaskCluster, slots: int, **more: Any) -> dict[str, Any]:
    """A node of a document."""
    return {"nodeId": "cluster", "kind": "dask", "address": cluster.address, "slots": slots} | more


class Losses:
    """Kills workers one after the other, and starts another one for each."""

    def __init__(self, cluster: DaskCluster, *, seed: int) -> None:
        self._cluster, self._chance = cluster, random.Random(seed)
        self._lock = threading.Lock()
        self.count = 0

    def strike(self) -> None:
        """Kill one, at once; its successor comes as soon as it can."""
        with self._lock:
            victim = self._chance.choice(self._cluster.workers)
            self._cluster.workers.remove(victim)
            self._cluster.kill(victim)
            self._cluster.start_worker()
            self.count += 1
