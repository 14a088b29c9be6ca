"""R1, the crash harness: the real command, killed again and again, with a witness outside the store.

Every call of the item processor appends `index attempt pid nanoseconds` to a ledger file (O_APPEND), whatever
happens to the store. After each kill the rig looks into the store; from then on no item that was recorded may
be called again, and what has to be called again may not be more than what was under way.
"""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from everyitem.compose import open_store
from everyitem.failpoints import VARIABLE, Failpoint
from everyitem.model.errors import StoreError, UsageError
from everyitem.ports.execution import ExecutionRecord
from everyitem.ports.store import OnDamage, Store

PROCESSOR = """
import os, random, time
from everyitem import item_processor, PermanentItemError

LEDGER = os.open(os.environ["WITNESS_LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

@item_processor("witnessed")
def witnessed(item, context):
    line = (context.index, context.attempt, os.getpid(), time.monotonic_ns())
    os.write(LEDGER, b"%d %d %d %d\\n" % line)
    while os.path.exists("hold"):
        time.sleep(0.002)
    time.sleep(context.parameters["seconds"])
    if item["number"] % 97 == 5:
        raise PermanentItemError("one in 97 fails")
    if item["number"] % 89 == 7 and context.attempt == 1:
        raise ValueError("one in 89 fails at first")
    padding = random.Random(context.index).randbytes(context.parameters["padding"]).hex()
    return {"square": item["number"] ** 2, "key": context.idempotency_key, "padding": padding}
"""

#: Seconds a run may take that nobody kills.
PATIENCE = 120


class Call(NamedTuple):
    """One call of the item processor, as the witness saw it begin."""

    index: int
    attempt: int
    pid: int
    #: Monotonic nanoseconds, the same clock in all processes.
    at: int


@dataclass
class CrashRig:
    """One batch in one folder, to be run and killed."""

    folder: Path
    items: int
    kind: str
    slots: int = 4
    seconds: float = 0.005
    interval: int = 20
    #: Bytes in each result that cannot be packed.
    padding: int = 0
    seed: int = 0
    #: URL of the store; SQLite in the folder where none is given.
    store: str = ""
    kills: int = 0
    #: Items found recorded after some kill.
    recorded: set[int] = field(default_factory=set)
    #: Of each kill: how many calls were for nothing, and how long ago the oldest of them had begun (seconds).
    repeats: list[tuple[int, float]] = field(default_factory=list)
    #: Of each start: seconds to its first call of the item processor.
    first_calls: list[float] = field(default_factory=list)
    #: Takes what is damaged of the store; None where nothing may be.
    damage: OnDamage | None = None

    #: How a run that nobody kills may end.
    ends: ClassVar[tuple[int, ...]] = (0,)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "temporary").mkdir(exist_ok=True)
        (self.folder / "processors.py").write_text(PROCESSOR)
        (self.folder / "batch.json").write_text(json.dumps(self.document()))

    def document(self) -> dict[str, Any]:
        """The batch document."""
        return {
            "batchId": "killed",
            "batchItems": [{"number": number} for number in range(self.items)],
            "processingConfiguration": {
                "processor": "witnessed",
                "parameters": {"seconds": self.seconds, "padding": self.padding},
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

    # -- running and killing ---------------------------------------------------------------------------

    def start(self, *command: str, failpoint: str = "") -> "subprocess.Popen[str]":
        """Start a command (`run`); its output goes to files, as a killed process leaves pipes behind."""
        name, *arguments = command or ("run", "batch.json", "--out", "response.json", "--results", "results")
        if name in ("run", "resume", "redrive"):
            arguments += ["--no-progress", "--processors", "processors.py"]
        with (self.folder / "out").open("w") as out, (self.folder / "err").open("a") as err:
            return subprocess.Popen(
                [sys.executable, "-m", "everyitem", name, *arguments, "--store", self.store_url],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                text=True,
                env={
                    **os.environ,
                    "WITNESS_LEDGER": str(self.folder / "ledger"),
                    "TMPDIR": str(self.folder / "temporary"),
                    VARIABLE: failpoint,
                },
            )

    def kill_once(self, longest: float = 0.4) -> bool:
        """Kill a run at a random moment; False when the batch was done before.

        One time in four the moment counts from the start, else from the first call of the item processor.
        """
        before = len(self.ledger())
        started = time.monotonic_ns()
        process = self.start()
        if self.chance.random() < 0.75:
            self.wait_for_calls(process, before + 1)
        try:
            process.wait(timeout=self.chance.uniform(0, longest))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            self.kills += 1
            self.look(before, started=started, killed=True)
            return True
        assert process.returncode in self.ends, self.errors()
        self.look(before, started=started)
        return False

    def strike(self, point: Failpoint, passings: int, *command: str) -> bool:
        """Run a command that dies at a failpoint, or loses a worker there; whether it passed so often."""
        before = len(self.ledger())
        struck = self.folder / "struck"
        struck.unlink(missing_ok=True)
        process = self.start(*command, failpoint=f"{point.label}:{passings}:{struck}")
        process.wait(timeout=PATIENCE)
        assert process.returncode in (0, -signal.SIGKILL), self.errors()
        assert struck.exists() or process.returncode == 0
        killed = process.returncode == -signal.SIGKILL
        self.kills += killed
        self.look(before, killed=killed)
        return struck.exists()

    def finish(self, *command: str) -> dict[str, Any]:
        """Run undisturbed to the end; returns the response."""
        before = len(self.ledger())
        process = self.start(*command)
        process.wait(timeout=PATIENCE)
        assert process.returncode == 0, self.errors()
        self.look(before)
        response: dict[str, Any] = json.loads((self.folder / "out").read_text())
        return response

    @contextmanager
    def holding(self) -> Iterator[None]:
        """While this lasts no item comes to its end."""
        hold = self.folder / "hold"
        hold.touch()
        try:
            yield
        finally:
            hold.unlink()

    def wait_until_heard(self) -> None:
        """Wait until the owner has taken what it was asked for (SQLite)."""
        deadline = time.monotonic() + PATIENCE
        with closing(sqlite3.connect(self.folder / "store.sqlite")) as database:
            while database.execute("SELECT count(*) FROM controls").fetchone() != (0,):
                assert time.monotonic() < deadline, "nobody hears"
                time.sleep(0.01)

    def wait_for_calls(self, process: "subprocess.Popen[str]", calls: int) -> None:
        """Wait until the item processor was called so often, or the process has ended."""
        deadline = time.monotonic() + PATIENCE
        while len(self.ledger()) < calls and process.poll() is None:
            assert time.monotonic() < deadline, "the batch does not begin"
            time.sleep(0.002)

    # -- looking ---------------------------------------------------------------------------------------

    def look(self, calls_before: int, *, started: int | None = None, killed: bool = False) -> None:
        """After a run: what was recorded before it was not called in it, and is still recorded."""
        calls = self.ledger()[calls_before:]
        again = {call.index for call in calls} & self.recorded
        assert not again, f"recorded items were called again: {sorted(again)[:10]}"
        recorded = self.outcomes().keys()
        lost = self.recorded - recorded
        assert not lost, f"recorded items are gone: {sorted(lost)[:10]}"
        self.recorded |= recorded
        if killed and calls:
            open_calls = [call for call in calls if call.index not in recorded and not _fails_first(call)]
            oldest = min((call.at for call in open_calls), default=calls[-1].at)
            self.repeats.append((len(open_calls), (calls[-1].at - oldest) / 1e9))
        if started is not None and calls:
            self.first_calls.append((calls[0].at - started) / 1e9)

    def ledger(self) -> list[Call]:
        """What the witness saw; a line cut by a kill is no call."""
        try:
            lines = (self.folder / "ledger").read_text().splitlines()
        except FileNotFoundError:
            return []
        fields = [line.split() for line in lines]
        return [Call(*map(int, one)) for one in fields if len(one) == len(Call._fields)]

    def outcomes(self) -> dict[int, tuple[bool, bytes | None]]:
        """What the store holds, by item; fails when it holds an item twice."""
        store, record = self._open()
        if store is None or record is None:
            return {}
        try:
            outcomes = store.outcomes(record.execution_key, on_damage=self.damage)
            listed = [(one.index, one.succeeded, one.result) for one in outcomes]
        finally:
            store.close()
        doubled = [index for index, times in Counter(index for index, _, _ in listed).items() if times > 1]
        assert not doubled, f"recorded twice: {doubled[:10]}"
        return {index: (succeeded, result) for index, succeeded, result in listed}

    def verify(self) -> None:
        """The store finds nothing wrong with itself (I2, I3, I5, I6), nor do its events (I7)."""
        store, record = self._open()
        if store is None or record is None:
            return
        try:
            assert store.verify(record.execution_key) == []
            types = Counter(event.type for event in store.events(record.execution_key))
            assert types["CheckpointCreated"] == sum(1 for _ in store.segments(record.execution_key))
        finally:
            store.close()

    def _open(self) -> tuple[Store | None, ExecutionRecord | None]:
        try:
            store = open_store(self.store_url, read_only=True)
        except UsageError:  # a run that was killed early has made none, or an empty one
            return None, None
        except StoreError as error:
            if "older everyitem" not in str(error):
                raise
            # killed between two migrations; the next start goes on with them
            return None, None
        record = store.find("killed")
        if record is None:
            store.close()
            return None, None
        return store, record

    def check_end(self, response: dict[str, Any]) -> None:
        """Every item has exactly the outcome an undisturbed run gives it (I1, I2, I4, I9, I10)."""
        results = response["result"]["executionResults"]
        failing = {number for number in range(self.items) if number % 97 == 5}
        assert results["itemsProcessed"] == self.items
        assert results["itemsFailed"] == len(failing)
        outcomes = self.outcomes()
        assert outcomes.keys() == set(range(self.items))
        for index, (succeeded, result) in outcomes.items():
            assert succeeded is (index not in failing)
            assert not succeeded or result == self.expected(index)
        assert max(call.attempt for call in self.ledger()) <= 4
        self.verify()
        assert not list((self.folder / "temporary").iterdir()), "temporary files stay behind"
        assert not processes_of(self.ledger()), "a worker outlived its coordinator"

    def check_files(self, response: dict[str, Any]) -> None:
        """Response and results are whole, and nothing lies beside them."""
        lines = [json.loads(line) for line in (self.folder / "results").read_text().splitlines()]
        assert [line["index"] for line in lines] == list(range(self.items))
        assert json.loads((self.folder / "response.json").read_text()) == response
        assert not [path.name for path in self.folder.iterdir() if path.name.startswith(".")]

    def expected(self, index: int) -> bytes:
        """The result of an item, byte for byte."""
        padding = random.Random(index).randbytes(self.padding).hex()
        result = {"square": index**2, "key": f"killed/{index}", "padding": padding}
        return json.dumps(result, separators=(",", ":")).encode()

    def errors(self) -> str:
        """What the command said last."""
        return (self.folder / "err").read_text()[-3000:]


def _fails_first(call: Call) -> bool:
    """Whether this is the attempt of a call that is made again in any case."""
    return call.index % 89 == 7 and call.attempt == 1


def processes_of(ledger: list[Call]) -> set[int]:
    """Processes of the ledger that are still alive a while after their coordinator has died."""
    alive = {call.pid for call in ledger}
    deadline = time.monotonic() + 3 * 10
    while (alive := {pid for pid in alive if _is_alive(pid)}) and time.monotonic() < deadline:
        time.sleep(0.05)
    return alive


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
