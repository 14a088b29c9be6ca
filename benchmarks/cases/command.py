"""The command as a user starts it: start-up, memory, and how soon a resumed run works again."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import everyitem
from benchmarks.measure import Figure, Options
from benchmarks.ours import document

EVERYITEM = [sys.executable, "-m", "everyitem"]
PROCESSORS = Path(__file__).parents[1] / "processors.py"


def measure(options: Options) -> Iterator[Figure]:
    """Seconds and megabytes of the real command; these are no ratios, so they depend on the machine."""
    yield from _whole_command(options)
    yield from _resume(options)
    yield Figure(
        case="command",
        what="`everyitem --help`",
        unit="s",
        values=[_run([*EVERYITEM, "--help"])[0] for _ in range(options.pairs)],
        at_most=0.3,
    )
    yield Figure(
        case="command",
        what="`import everyitem`",
        unit="s",
        values=[_import_seconds() for _ in range(options.pairs)],
        at_most=0.1,
    )


def _whole_command(options: Options) -> Iterator[Figure]:
    count = options.items(100_000, 20_000)
    items = [{"id": number, "amount": f"{number % 997}.25"} for number in range(count)]
    seconds, beyond = [], []
    for number in range(options.pairs):
        batch = options.directory / f"command-{number}.json"
        batch.write_text(json.dumps(document(items, "bench-no-op", kind="thread", slots=5)), encoding="utf-8")
        took, peak = _run(_command(batch, options.directory / "command.sqlite"))
        seconds.append(took)
        beyond.append((peak - 3 * batch.stat().st_size) / 1e6)
    what = f"`everyitem run` on {count:,} no-ops, process start to printed response"
    yield Figure(case="command", what=what, unit="s", values=seconds, at_most=1.5)
    yield Figure(
        case="command",
        what="its peak memory less 3 × the document",
        unit="MB",
        values=beyond,
        at_most=120.0,
    )


def _resume(options: Options) -> Iterator[Figure]:
    """Kill a run half-way, start the same command again, and see when the first item begins that is new."""
    items = [{"seconds": 0.0005}] * options.items(100_000, 20_000)
    store = options.directory / "resume.sqlite"
    delays = []
    for number in range(options.pairs):
        batch = document(items, "bench-sleep", kind="thread", slots=10)
        path = options.directory / f"resume-{number}.json"
        path.write_text(json.dumps(batch), encoding="utf-8")
        _kill_half_way(_command(path, store), store, batch["batchId"], len(items))
        started = time.time()
        _run(_command(path, store))
        with everyitem.open(f"sqlite:///{store}") as session:
            begun = [outcome.result / 1e9 for outcome in session.results(batch["batchId"])]
        delays.append(min(moment for moment in begun if moment >= started) - started)
    what = "killed half-way and started again: process start to the first new item"
    yield Figure(case="command", what=what, unit="s", values=delays, at_most=1.0)


def _kill_half_way(command: list[str], store: Path, batch_id: str, count: int) -> None:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            time.sleep(0.05)
            if store.exists() and _succeeded(store, batch_id) >= count // 2:
                process.send_signal(signal.SIGKILL)
                return
    raise RuntimeError("the run to be killed ended before it was half-way")


def _succeeded(store: Path, batch_id: str) -> int:
    try:
        with everyitem.open(f"sqlite:///{store}") as session:
            return session.status(batch_id).succeeded
    except everyitem.EveryitemError:
        return 0  # not accepted yet


def _command(batch: Path, store: Path) -> list[str]:
    return [*EVERYITEM, "run", str(batch), "--processors", str(PROCESSORS), "--store", f"sqlite:///{store}"]


def _run(command: list[str]) -> tuple[float, int]:
    """Seconds from process start to its end, and the peak memory of the process in bytes."""
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        complaint = process.stderr.read() if process.stderr else b""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - began
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {complaint.decode()}")
    return seconds, usage.ru_maxrss * 1024


def _import_seconds() -> float:
    code = "import time; began = time.perf_counter(); import everyitem; print(time.perf_counter() - began)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(run.stdout)
