"""One supervised run with faults: start, strike, sample, read off."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil

import everyitem
from benchmarks.soak.processors import POISON, is_one
from benchmarks.soak.timeline import Strike

PROCESSORS = Path(__file__).with_name("processors.py")
KILLED: Final = "coordinator killed"
AWAY: Final = "store away"
#: What strikes how often, of nine strikes.
_DECK: Final = (*["worker killed"] * 3, *["worker stopped"] * 2, *[AWAY] * 2, *[KILLED] * 2)
#: Seconds a store is away.
_OUTAGE: Final = (3.0, 8.0)
#: Seconds between two looks at memory and descriptors.
_SAMPLING: Final = 2.0


@dataclass(frozen=True, slots=True)
class Sample:
    """What the processes of a run hold at a moment; megabytes."""

    coordinator_mb: float
    altogether_mb: float
    descriptors: int


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What one run is made of."""

    items: int
    #: Of one item.
    seconds: float
    slots: int
    #: Seconds between two strikes.
    every: float
    #: Hours of the batch timeout.
    window_hours: float = 4.0
    interval: int = 20

    def document(self, batch_id: str, witness: Path) -> dict[str, Any]:
        """The batch."""
        return {
            "batchId": batch_id,
            "batchItems": list(range(self.items)),
            "processingConfiguration": {
                "processor": "soak",
                "parameters": {"seconds": self.seconds, "witness": str(witness)},
                "itemTimeoutMs": 2000,
                "timeoutHours": self.window_hours,
                "retry": {"initialDelayMs": 50, "maxDelayMs": 500},
            },
            "allocatedResources": {
                "nodes": [{"nodeId": "soak", "kind": "process", "slots": self.slots, "memoryMb": 1024}]
            },
            "executionPlan": {},
            "checkpointInterval": self.interval,
            "parallelismLevel": self.slots,
        }


@dataclass(kw_only=True)
class SoakRun:
    """A batch under supervision, from its start to its response."""

    shape: Shape
    folder: Path
    batch_id: str
    chance: random.Random
    strikes: list[Strike] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    began: float = 0.0
    ended: float = 0.0
    response: dict[str, Any] = field(default_factory=dict)

    @property
    def store(self) -> str:
        """The store, in a folder that can be taken away."""
        return f"sqlite:///{self.folder / 'volume' / 'store.sqlite'}"

    @property
    def witness(self) -> Path:
        """What the items wrote down."""
        return self.folder / f"{self.batch_id}.calls"

    def carry_out(self, say: Callable[[str], None]) -> None:
        """Run the batch to its end, striking at it; raises RuntimeError where it does not come to its end."""
        (self.folder / "volume").mkdir(parents=True, exist_ok=True)
        batch = self.folder / f"{self.batch_id}.json"
        batch.write_text(json.dumps(self.shape.document(self.batch_id, self.witness)), encoding="utf-8")
        answer = self.folder / f"{self.batch_id}.response"
        command = [sys.executable, "-m", "everyitem", "run", str(batch), "--supervise", "--no-progress"]
        command += ["--processors", str(PROCESSORS), "--store", self.store]
        self.began = time.monotonic()
        with (
            answer.open("wb") as out,
            (self.folder / f"{self.batch_id}.log").open("wb") as errors,
            subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=errors) as process,
        ):
            try:
                self._strike_until_it_ends(process, say)
            except BaseException:
                process.terminate()
                raise
        self.ended = time.monotonic()
        if process.returncode:
            raise RuntimeError(f"{self.batch_id} ended with {process.returncode}: {errors.name}")
        self.response = json.loads(answer.read_bytes())

    def _strike_until_it_ends(self, process: "subprocess.Popen[bytes]", say: Callable[[str], None]) -> None:
        deck: list[str] = []
        next_strike = self.began + self.shape.every
        while not _ends_within(process, _SAMPLING):
            self._sample(process.pid)
            if time.monotonic() < next_strike:
                continue
            if not deck:
                deck = self.chance.sample(_DECK, len(_DECK))
            kind = deck.pop()
            at = time.monotonic()
            if not self._strike(kind, process.pid):
                # whoever was to be struck is just being replaced
                deck.append(kind)
                continue
            self.strikes.append(Strike(kind, at, time.monotonic()))
            next_strike = at + self.shape.every * self.chance.uniform(0.5, 1.5)
            say(f"{at - self.began:7.1f} s  {kind}")

    def _strike(self, kind: str, supervisor: int) -> bool:
        """Do it; whether there was anybody to do it to."""
        if kind == AWAY:
            volume, elsewhere = self.folder / "volume", self.folder / "elsewhere"
            volume.rename(elsewhere)
            time.sleep(self.chance.uniform(*_OUTAGE))
            elsewhere.rename(volume)
            return True
        coordinator = _coordinator(supervisor)
        if coordinator is None:
            return False
        if kind == KILLED:
            return _send(coordinator.pid, signal.SIGKILL)
        workers = self._workers(coordinator)
        number = signal.SIGSTOP if kind == "worker stopped" else signal.SIGKILL
        return bool(workers) and _send(self.chance.choice(workers), number)

    def _workers(self, coordinator: psutil.Process) -> list[int]:
        """The workers, known by the calls they have written down."""
        known = {int(line.split()[1]) for line in self._calls()}
        try:
            return sorted(known & {one.pid for one in coordinator.children(recursive=True)})
        except psutil.NoSuchProcess:
            return []

    def _sample(self, supervisor: int) -> None:
        coordinator = _coordinator(supervisor)
        if coordinator is None:
            return
        try:
            everybody = [psutil.Process(supervisor), coordinator, *coordinator.children(recursive=True)]
            self.samples.append(
                Sample(
                    coordinator.memory_info().rss / 2**20,
                    sum(_resident(one) for one in everybody) / 2**20,
                    coordinator.num_fds(),
                )
            )
        except psutil.NoSuchProcess:
            pass  # it is just being replaced

    def ends(self) -> list[float]:
        """When each call that came to its end did so (monotonic seconds)."""
        return [int(line.split()[3]) / 1e9 for line in self._calls()]

    def _calls(self) -> list[str]:
        return self.witness.read_text().splitlines() if self.witness.exists() else []

    def check(self) -> None:
        """Every item has the outcome it must have, once; raises RuntimeError where one has not."""
        poison = {number for number in range(self.shape.items) if is_one(number, POISON)}
        seen: set[int] = set()
        with everyitem.open(self.store) as session:
            for outcome in session.results(self.batch_id):
                if outcome.index in seen:
                    raise RuntimeError(f"item {outcome.index} of {self.batch_id} is recorded twice")
                seen.add(outcome.index)
                if outcome.succeeded is (outcome.index in poison):
                    raise RuntimeError(f"item {outcome.index} of {self.batch_id} ended wrongly: {outcome}")
        if len(seen) != self.shape.items:
            raise RuntimeError(f"{self.shape.items - len(seen)} items of {self.batch_id} have no outcome")


def _ends_within(process: "subprocess.Popen[bytes]", seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _coordinator(supervisor: int) -> psutil.Process | None:
    try:
        # whoever came later is in reserve
        return min(psutil.Process(supervisor).children(), key=psutil.Process.create_time, default=None)
    except psutil.NoSuchProcess:
        return None


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def _send(pid: int, number: signal.Signals) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False  # it has ended by itself
    return True
