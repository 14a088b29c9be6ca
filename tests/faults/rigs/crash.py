"""R1, the crash harness: the real command, killed again and again, with a witness outside the store.

Every call of the item processor appends `index attempt pid` to a ledger file (O_APPEND), whatever happens
to the store. After each kill the rig looks into the store; from then on no item that was recorded may be
called again.
"""

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from everyitem.compose import open_store
from everyitem.model.errors import UsageError

PROCESSOR = """
import os, time
from everyitem import item_processor, PermanentItemError

LEDGER = os.open(os.environ["EVERYITEM_TEST_LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

@item_processor("witnessed")
def witnessed(item, context):
    os.write(LEDGER, b"%d %d %d\\n" % (context.index, context.attempt, os.getpid()))
    time.sleep(context.parameters["seconds"])
    if item["number"] % 97 == 5:
        raise PermanentItemError("one in 97 fails")
    if item["number"] % 89 == 7 and context.attempt == 1:
        raise ValueError("one in 89 fails at first")
    return {"square": item["number"] ** 2, "key": context.idempotency_key}
"""


@dataclass
class CrashRig:
    """One batch in one folder, to be run and killed."""

    folder: Path
    items: int
    kind: str
    slots: int = 4
    seconds: float = 0.005
    interval: int = 20
    seed: int = 0
    #: URL of the store; SQLite in the folder where none is given.
    store: str = ""
    kills: int = 0
    #: Items found recorded after some kill.
    recorded: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "processors.py").write_text(PROCESSOR)
        (self.folder / "batch.json").write_text(json.dumps(self.document()))

    def document(self) -> dict[str, Any]:
        """The batch document."""
        return {
            "batchId": "killed",
            "batchItems": [{"number": number} for number in range(self.items)],
            "processingConfiguration": {
                "processor": "witnessed",
                "parameters": {"seconds": self.seconds},
                "retry": {"initialDelayMs": 5},
            },
            "allocatedResources": {
                "nodes": [{"nodeId": "n", "kind": self.kind, "slots": self.slots}],
            },
            "executionPlan": {},
            "checkpointInterval": self.interval,
            "parallelismLevel": self.slots,
        }

    @property
    def store_url(self) -> str:
        """The store of the batch."""
        return self.store or f"sqlite:///{self.folder / 'store.sqlite'}"

    def start(self, **environment: str) -> "subprocess.Popen[str]":
        """Start the command; its output goes to files, as a killed process leaves pipes behind."""
        with (self.folder / "out").open("w") as out, (self.folder / "err").open("a") as err:
            return subprocess.Popen(
                [
                    *(sys.executable, "-m", "everyitem", "run", "batch.json", "--no-progress"),
                    *("--processors", "processors.py", "--store", self.store_url),
                ],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                text=True,
                env={**os.environ, "EVERYITEM_TEST_LEDGER": str(self.folder / "ledger"), **environment},
            )

    def kill_once(self, shortest: float = 0.3, longest: float = 1.0) -> bool:
        """Run for a random while and kill; False when the batch was done before."""
        before = self.calls()
        process = self.start()
        try:
            process.wait(timeout=self.chance.uniform(shortest, longest))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            self.kills += 1
            self.look(before)
            return True
        assert process.returncode == 0, self.errors()
        self.look(before)
        return False

    def finish(self) -> dict[str, Any]:
        """Run undisturbed to the end; returns the response."""
        before = self.calls()
        process = self.start()
        process.wait(timeout=120)
        assert process.returncode == 0, self.errors()
        self.look(before)
        response: dict[str, Any] = json.loads((self.folder / "out").read_text())
        return response

    def look(self, calls_before: int) -> None:
        """After a run: what was recorded before it was not called in it, and is still recorded."""
        called = {index for index, _, _ in self.ledger()[calls_before:]}
        again = called & self.recorded
        assert not again, f"recorded items were called again: {sorted(again)[:10]}"
        recorded = self.outcomes().keys()
        lost = self.recorded - recorded
        assert not lost, f"recorded items are gone: {sorted(lost)[:10]}"
        self.recorded |= recorded

    def ledger(self) -> list[tuple[int, int, int]]:
        """What the witness saw: (index, attempt, pid) per call; a line cut by a kill is no call."""
        try:
            lines = (self.folder / "ledger").read_text().splitlines()
        except FileNotFoundError:
            return []
        calls = [line.split() for line in lines]
        return [(int(one[0]), int(one[1]), int(one[2])) for one in calls if len(one) == 3]

    def calls(self) -> int:
        """How many calls the witness saw."""
        return len(self.ledger())

    def outcomes(self) -> dict[int, tuple[bool, bytes | None]]:
        """What the store holds, by item; fails when it holds an item twice."""
        try:
            store = open_store(self.store_url, read_only=True)
        except UsageError:  # it was killed before there was a store
            return {}
        try:
            record = store.find("killed")
            if record is None:
                return {}
            listed = [(one.index, one.succeeded, one.result) for one in store.outcomes(record.execution_key)]
        finally:
            store.close()
        doubled = [index for index, count in Counter(index for index, _, _ in listed).items() if count > 1]
        assert not doubled, f"recorded twice: {doubled[:10]}"
        return {index: (succeeded, result) for index, succeeded, result in listed}

    def verify(self) -> None:
        """The store finds nothing wrong with itself."""
        store = open_store(self.store_url, read_only=True)
        try:
            record = store.find("killed")
            assert record is not None
            assert store.verify(record.execution_key) == []
        finally:
            store.close()

    def check_end(self, response: dict[str, Any]) -> None:
        """Every item has exactly the outcome an undisturbed run gives it (I1, I2, I4, I10)."""
        results = response["result"]["executionResults"]
        failing = {number for number in range(self.items) if number % 97 == 5}
        assert results["itemsProcessed"] == self.items
        assert results["itemsFailed"] == len(failing)
        outcomes = self.outcomes()
        assert outcomes.keys() == set(range(self.items))
        for index, (succeeded, result) in outcomes.items():
            expected = {"square": index**2, "key": f"killed/{index}"}
            assert succeeded is (index not in failing)
            assert not succeeded or json.loads(result or b"") == expected
        assert max(attempt for _, attempt, _ in self.ledger()) <= 4
        self.verify()

    def errors(self) -> str:
        """What the command said last."""
        return (self.folder / "err").read_text()[-3000:]


def processes_of(ledger: list[tuple[int, int, int]]) -> set[int]:
    """Processes of the ledger that are still alive."""
    alive = set()
    for pid in {pid for _, _, pid in ledger}:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            continue
        alive.add(pid)
    return alive
