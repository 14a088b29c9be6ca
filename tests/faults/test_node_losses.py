"""F43: k of n nodes are lost, for every k < n: the batch ends, and says truthfully how parallel it was."""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.faults.rigs.lost_sleeper import FLAG

import everyitem
from everyitem import Response
from everyitem.adapters.nodes.watcher import Watcher

ITEMS, SECONDS = 120, 0.01
#: Calls that begin at the very end, when nodes are lost for sure.
LATE = 40
PROCESSORS = Path(__file__).parent / "rigs" / "lost_sleeper.py"


class Losing:
    """A batch on nodes of one slot each, some of which are lost half-way."""

    def __init__(self, folder: Path, kind: str, nodes: int) -> None:
        self.folder, self.kind, self.nodes = folder, kind, nodes
        self.flag, self.ledger, self.go = folder / "flag", folder / "ledger", folder / "go"
        #: By when nodes were lost, and had begun their last call (monotonic nanoseconds).
        self.lost_at = 0

    def run(self, lose: Callable[[], None]) -> Response:
        """Run it; `lose` is called once half of the items are done."""
        threading.Thread(target=self._lose_half_way, args=(lose,), daemon=True).start()
        document = {
            "batchId": "b",
            "batchItems": list(range(ITEMS)),
            "processingConfiguration": {
                "processor": "lost-sleeper-async" if self.kind == "async" else "lost-sleeper",
                "parameters": {
                    "ledger": str(self.ledger),
                    "seconds": SECONDS,
                    "most": ITEMS - LATE,
                    "go": str(self.go),
                },
            },
            "allocatedResources": {
                "nodes": [{"nodeId": f"n{one}", "kind": self.kind, "slots": 1} for one in range(self.nodes)]
            },
            "executionPlan": {},
            "parallelismLevel": self.nodes,
        }
        return everyitem.run(
            document,
            processors=PROCESSORS,
            store=f"sqlite:///{self.folder / 'store.sqlite'}",
        )

    def _lose_half_way(self, lose: Callable[[], None]) -> None:
        never = threading.Event()
        while len(self.calls()) < ITEMS // 2 and not never.wait(0.005):
            pass
        lose()
        # a node that has noticed at this very moment still has to close its queue
        never.wait(0.05)
        self.lost_at = time.monotonic_ns()
        self.go.touch()

    def calls(self) -> list[list[int]]:
        """Process, begin and end (nanoseconds) of each call that came to its end."""
        if not self.ledger.exists():
            return []
        return [[int(field) for field in line.split()] for line in self.ledger.read_text().splitlines()]

    def most_at_once(self) -> int:
        """Calls at the same time among those that began after nodes were lost, and they had noticed."""
        late = [call for call in self.calls() if call[1] > self.lost_at]
        return max(sum(began <= one[1] < ended for _, began, ended in late) for one in late)

    def kill_workers(self, count: int) -> None:
        """Kill so many workers where no other can be started."""
        self.flag.touch()
        for pid in sorted({pid for pid, _, _ in self.calls()})[:count]:
            os.kill(pid, signal.SIGKILL)


def break_watchers(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Returns what breaks down the threads that watch so many nodes of this process, and waits for it."""
    look = Watcher.look
    known: list[Watcher] = []
    doomed: list[Watcher] = []
    broken = threading.Semaphore(0)

    def look_or_break(watcher: Watcher) -> None:
        if watcher not in known:
            known.append(watcher)
        if watcher in doomed:
            broken.release()
            raise ZeroDivisionError("a fault of ours")
        look(watcher)

    def break_down(count: int) -> None:
        doomed.extend(known[:count])
        for _ in doomed:
            assert broken.acquire(timeout=60)

    monkeypatch.setattr(Watcher, "look", look_or_break)
    return break_down


@pytest.mark.parametrize("kind", ["thread", "process", "async"])
@pytest.mark.parametrize(
    ("nodes", "lost"),
    [(3, 1), (3, 2), *(pytest.param(6, lost, marks=pytest.mark.long) for lost in range(1, 6))],
)
def test_the_batch_ends_whatever_nodes_are_left(
    kind: str, nodes: int, lost: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every item has its outcome, nobody is charged, and the parallelism is what a witness has seen."""
    losing = Losing(tmp_path, kind, nodes)
    monkeypatch.setenv(FLAG, str(losing.flag))
    break_down = break_watchers(monkeypatch)
    response = losing.run(lambda: (losing.kill_workers if kind == "process" else break_down)(lost))
    assert response.ok, response.to_json()
    assert (response.items_successful, response.items_failed) == (ITEMS, 0)
    assert losing.most_at_once() == nodes - lost
    metadata = response.to_dict()["result"]["executionMetadata"]
    busy = sum(ended - began for _, began, ended in losing.calls()) / 1e6
    assert metadata["parallelismAchieved"] == pytest.approx(busy / metadata["executionDuration"], rel=0.15)
