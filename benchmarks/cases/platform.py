"""A member of the Cyoda platform beside a plain loop over the items in a processor function of one's own.

Both are processes of their own, fed by the same streams of a platform that speaks the real gRPC service.
"""

import json
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tests.faults.rigs.cyoda_platform import DispatchFailed, Platform

from benchmarks.measure import Figure, Options, interleaved
from benchmarks.ours import document, run_batch

#: Seconds an item waits for what it depends on, and slots of a node to wait in.
_WAIT, _SLOTS = 0.001, 10
#: What the member may take longer than `everyitem run`, beside its share, in seconds.
_ALLOWED = 0.1
#: Seconds for anything that is waited for.
_PATIENCE = 600.0

_PROCESSORS = Path(__file__).parents[1] / "processors.py"


def measure(options: Options) -> Iterator[Figure]:
    """Throughput, what a cut costs, what the member costs over `everyitem run`, and memory."""
    count = options.items(10_000, 1_000)
    pairs = min(5, options.pairs)
    yield from _throughput(options, count, pairs)
    yield from _overhead(options, count, pairs)
    yield from _cut(options, count, min(3, pairs))
    yield from _memory(options)


def _throughput(options: Options, count: int, pairs: int) -> Iterator[Figure]:
    with _member(options.directory) as ours, _plain() as plain:
        for what, batch in (
            ("no-ops", _Batches([{}] * count, "bench-no-op", options.directory)),
            (f"waits of {_WAIT * 1000:g} ms", _waits(count, options.directory)),
        ):
            seconds = interleaved(
                partial(_next_to, ours, batch), partial(_next_to, plain, batch), pairs=pairs
            )
            for name, column in (("member", 0), ("plain loop", 1)):
                yield Figure(
                    case="platform",
                    what=f"{count:,} {what} in an entity, dispatch to answer: {name}",
                    unit="items/s",
                    values=[count / pair[column] for pair in seconds],
                )


def _overhead(options: Options, count: int, pairs: int) -> Iterator[Figure]:
    batch = _waits(count, options.directory)
    with _member(options.directory) as ours:
        seconds = interleaved(
            partial(_next_to, ours, batch),
            lambda: run_batch(batch.another(), options.directory / "run.sqlite").call,
            pairs=pairs,
        )
    yield Figure(
        case="platform",
        what=f"the member less {_ALLOWED * 1000:g} ms, {count:,} waits, over `everyitem.run` of the same",
        unit="×",
        values=[(ours - _ALLOWED) / run for ours, run in seconds],
        at_most=None if options.quick else 1.05,
    )


def _cut(options: Options, count: int, times: int) -> Iterator[Figure]:
    """The stream is cut when half of the items have been called, and the batch dispatched again at once."""
    for name, starting in (("member", partial(_member, options.directory)), ("plain loop", _plain)):
        calls, longer = [], []
        with starting() as member:
            for _ in range(times):
                batch = _waits(count, options.directory)
                undisturbed, _called = member.cut(batch.another(), at=None)
                batch = _waits(count, options.directory)
                took, called = member.cut(batch.another(), at=count // 2)
                calls.append(called / count)
                longer.append(took / undisturbed)
        what = f"{count:,} waits, the stream cut half-way: {name}"
        yield Figure(case="platform", what=f"{what}, calls an item", unit="×", values=calls)
        yield Figure(case="platform", what=f"{what}, time over undisturbed", unit="×", values=longer)


class _Batches:
    """Batches that differ in their names only, with a file that witnesses the calls of their items."""

    def __init__(self, items: list[Any], processor: str, directory: Path) -> None:
        self._items, self._processor = items, processor
        self._witness = directory / f"witness-{time.monotonic_ns()}"

    def another(self) -> dict[str, Any]:
        parameters = {"witness": str(self._witness)}
        return document(self._items, self._processor, kind="thread", slots=_SLOTS, parameters=parameters)


def _waits(count: int, directory: Path) -> _Batches:
    return _Batches([{"seconds": _WAIT}] * count, "bench-witnessed", directory)


def _next_to(member: "_Member", batches: _Batches) -> float:
    return member.execute(batches.another())


def _memory(options: Options) -> Iterator[Figure]:
    """Peak memory of a member that takes entities in and gives results back, over one with a few of them."""
    count = options.items(100_000, 5_000)
    for kind, source in (("from a search", _searched), ("by their ids", _listed)):
        few, many = _peak(options, 1_000, source), _peak(options, count, source)
        yield Figure(
            case="platform",
            what=f"peak memory of the member: {count:,} entities {kind}, results as entities, over 1,000",
            unit="MB",
            values=[(many[0] - few[0]) / 1e6],
            at_most=None if options.quick else 150.0,
        )
        what = f"the same {count:,}, dispatch to answer"
        yield Figure(case="platform", what=what, unit="s", values=[many[1]])


def _searched(_directory: Path, _count: int) -> dict[str, Any]:
    return {"kind": "cyoda-search", "reference": "Position/1"}


def _listed(directory: Path, count: int) -> dict[str, Any]:
    """A file of ids, as the platform in `tests.faults.rigs.cyoda_rest` makes them."""
    (directory / "ids").write_text("\n".join(str(uuid.UUID(int=number + 1)) for number in range(count)))
    return {"kind": "cyoda-entities", "reference": "ids"}


def _peak(options: Options, count: int, source: Callable[[Path, int], dict[str, Any]]) -> tuple[int, float]:
    """Bytes, and seconds."""
    command = [sys.executable, "-m", "tests.faults.rigs.cyoda_rest", str(count)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as rest:
        assert rest.stdout is not None
        url = rest.stdout.readline().strip()
        config = options.directory / "platform.toml"
        folder = json.dumps(str(options.directory))
        config.write_text(
            f'[cyoda]\nurl = "{url}"\nsource-folder = {folder}\n[cyoda.results]\nto = "entities"\n'
        )
        batch = document([], "bench-no-op", kind="thread", slots=_SLOTS)
        batch["itemSource"] = source(options.directory, count)
        try:
            with _member(options.directory, config) as member:
                seconds = member.execute(batch)
                status = Path(f"/proc/{member.pid}/status").read_text()
        finally:
            rest.kill()
    (peak,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    return int(peak) * 1024, seconds


class _Member:
    """A member that has joined a platform of its own."""

    def __init__(self, platform: Platform, pid: int) -> None:
        self._platform, self.pid = platform, pid

    def execute(self, batch: dict[str, Any]) -> float:
        """Seconds from the dispatch until the platform has the answer."""
        entity_id = self._platform.create(json.dumps(batch))
        began = time.perf_counter()
        state = self._platform.executing(entity_id).result(_PATIENCE)
        seconds = time.perf_counter() - began
        if state != "completed":
            raise RuntimeError(f"the measured batch is {state}: {self._platform.body(entity_id)}")
        return seconds

    def cut(self, batch: dict[str, Any], *, at: int | None) -> tuple[float, int]:
        """Seconds, and calls, of a batch whose stream is cut after so many calls, and dispatched again."""
        witness = Path(batch["processingConfiguration"]["parameters"]["witness"])
        entity_id = self._platform.create(json.dumps(batch))
        began = time.perf_counter()
        running = self._platform.executing(entity_id)
        if at is not None:
            _wait(lambda: witness.exists() and witness.stat().st_size >= at)
            self._platform.streams[-1].cut()
            try:
                running.result(_PATIENCE)
            except DispatchFailed:
                self._platform.joined.get(timeout=_PATIENCE)
                running = self._platform.executing(entity_id)
        running.result(_PATIENCE)
        seconds = time.perf_counter() - began
        # who has lost its request may be at it still
        _wait_until_quiet(witness)
        return seconds, witness.stat().st_size


@contextmanager
def _member(directory: Path, config: Path | None = None) -> Iterator[_Member]:
    store = directory / f"member-{time.monotonic_ns()}.sqlite"
    command = [
        *(sys.executable, "-m", "everyitem", "member", "--plaintext"),
        *("--processors", str(_PROCESSORS), "--store", f"sqlite:///{store}"),
        *(("--config", str(config)) if config else ()),
        "--endpoint",
    ]
    with _joined(command) as member:
        yield member


@contextmanager
def _plain() -> Iterator[_Member]:
    with _joined([sys.executable, "-m", "benchmarks.plain_member"]) as member:
        yield member


@contextmanager
def _joined(command: list[str]) -> Iterator[_Member]:
    platform = Platform(probe_every=1.0, patience=_PATIENCE).start()
    process = subprocess.Popen([*command, platform.address], stderr=subprocess.DEVNULL)
    try:
        platform.joined.get(timeout=_PATIENCE)
        yield _Member(platform, process.pid)
    finally:
        process.terminate()
        process.wait()
        platform.stop()


def _wait(condition: Any) -> None:
    pause, until = threading.Event(), time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > until:
            raise RuntimeError("what was waited for did not happen")
        pause.wait(0.005)


def _wait_until_quiet(witness: Path) -> None:
    pause, size = threading.Event(), -1
    while size != witness.stat().st_size:
        size = witness.stat().st_size
        pause.wait(0.3)
