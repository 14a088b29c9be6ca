"""The real command, started as a user starts it, and a batch whose progress a test controls."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

#: Seconds after which a wait is a failure; nothing here takes a tenth of it.
PATIENCE = 120

PROCESSORS = '''
import itertools, os, signal, time
from everyitem import PermanentItemError, chunk_processor, item_processor

#: Calls in this process; `next` on it is atomic.
calls = itertools.count()


@item_processor("work")
def work(item, context):
    """Notes every call in a ledger outside the store; waits at a gate; fails as the item says."""
    parameters = context.parameters
    if "ledger" in parameters:
        ledger = os.open(parameters["ledger"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(ledger, f"{context.idempotency_key} {context.attempt}\\n".encode())
        os.close(ledger)
    gate = parameters.get("gate")
    if gate and (held := next(calls) - parameters["holdAfter"]) >= 0:
        while not (os.path.exists(gate) or os.path.exists(f"{gate}.{held}") or context.cancelled):
            time.sleep(0.005)
    if isinstance(item, dict) and "fail" in item:
        raise PermanentItemError(item["fail"])
    return {"seen": item, "pid": os.getpid()} if parameters.get("pid") else {"seen": item}


@item_processor("hang-up")
def hang_up(item, context):
    os.kill(os.getpid(), signal.SIGHUP)


@item_processor("nested")
def nested(item, context):
    import everyitem
    everyitem.run({"batchId": "inner"})


@item_processor("nested-async")
async def nested_async(item, context):
    import everyitem
    await everyitem.run_async({"batchId": "inner"})
'''


class Running:
    """A command that was started and not waited for."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> "subprocess.CompletedProcess[str]":
        """Wait for its end."""
        out, err = self.process.communicate(timeout=PATIENCE)
        return subprocess.CompletedProcess(self.process.args, self.process.returncode, out, err)

    def read_error_until(self, text: str) -> str:
        """Read its standard error up to the line with this text."""
        assert self.process.stderr is not None
        seen = ""
        for line in self.process.stderr:
            seen += line
            if text in line:
                return seen
        raise AssertionError(f"{text!r} was never said; but: {seen}")


class Workspace:
    """A folder with item processors, a store, a ledger of calls, and a gate that holds items back."""

    def __init__(self, folder: Path, source: Path) -> None:
        self.folder = folder
        self.store = f"sqlite:///{folder}/store.db"
        self.processors = folder / "processors.py"
        self.processors.write_text(PROCESSORS)
        self.ledger, self.gate = folder / "ledger", folder / "gate"
        self._passes = itertools.count()
        search = os.pathsep.join(filter(None, [str(source), os.environ.get("PYTHONPATH")]))
        self._environment = {**os.environ, "PYTHONPATH": search}
        self.started: list[Running] = []

    def document(
        self,
        items: list[Any],
        *,
        batch_id: str = "b",
        processor: str = "work",
        parameters: dict[str, Any] | None = None,
        configuration: dict[str, Any] | None = None,
        **top: Any,
    ) -> Path:
        """Write a batch document; returns its path."""
        parameters = {"ledger": str(self.ledger), **(parameters or {})}
        document = {
            "batchId": batch_id,
            "batchItems": items,
            "processingConfiguration": {
                "processor": processor,
                "parameters": parameters,
                **(configuration or {}),
            },
            "allocatedResources": {},
            "executionPlan": {},
            **top,
        }
        path = self.folder / f"{batch_id}.json"
        path.write_text(json.dumps(document))
        return path

    def command(self, *arguments: object) -> list[str]:
        name, *rest = map(str, arguments)
        executing = name in ("run", "resume", "redrive", "rerun")
        options = ["--store", self.store] if "--store" not in rest else []
        options += ["--processors", str(self.processors)] if executing and "--processors" not in rest else []
        return [sys.executable, "-m", "everyitem", name, *rest, *options]

    def do(self, *arguments: object, stdin: str | None = None) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""
        return self.end(self.command(*arguments), stdin=stdin)

    def end(self, program: Sequence[str], stdin: str | None = None) -> "subprocess.CompletedProcess[str]":
        """Run any program to its end, where and as commands run."""
        return subprocess.run(
            program,
            capture_output=True,
            check=False,
            text=True,
            input=stdin,
            timeout=PATIENCE,
            cwd=self.folder,
            env=self._environment,
        )

    def without_processors(self, *arguments: object) -> "subprocess.CompletedProcess[str]":
        """Run a command that is not told where item processors are."""
        command = self.command(*arguments)
        at = command.index("--processors")
        return self.end(command[:at] + command[at + 2 :])

    def start(self, *arguments: object) -> Running:
        """Start a command."""
        process = subprocess.Popen(
            self.command(*arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env=self._environment,
        )
        self.started.append(Running(process))
        return self.started[-1]

    def python(self, script: str) -> "subprocess.CompletedProcess[str]":
        """Run a script of its own, as `python script.py` does."""
        path = self.folder / "script.py"
        path.write_text(script)
        return self.end([sys.executable, str(path)])

    def json(self, *arguments: object) -> Any:
        """What a command that succeeds prints, decoded."""
        done = self.do(*arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def lines(self, *arguments: object) -> list[Any]:
        """The JSON lines a command prints."""
        done = self.do(*arguments)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def status_when(self, reached, batch_id: str = "b") -> dict[str, Any]:
        """Ask for the status until it is as wanted; every look is a process of its own."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            done = self.do("status", batch_id, "--json")
            if done.returncode == 0 and reached(status := json.loads(done.stdout)):
                return status
        raise AssertionError(f"never reached; the last status: {done.stdout}{done.stderr}")

    def calls(self) -> list[str]:
        """Idempotency keys of all calls so far, in order."""
        return (
            [line.split()[0] for line in self.ledger.read_text().splitlines()] if self.ledger.exists() else []
        )

    def open_gate(self) -> None:
        self.gate.touch()

    def let_pass(self, calls: int) -> None:
        """Let so many of the calls that are held pass the gate, or of those that will be (in one process)."""
        for _ in range(calls):
            Path(f"{self.gate}.{next(self._passes)}").touch()

    def close(self) -> None:
        """End what still runs."""
        self.open_gate()
        for running in self.started:
            if running.process.poll() is None:
                running.process.kill()
            running.process.wait(PATIENCE)
            for stream in (running.process.stdout, running.process.stderr):
                if stream is not None:
                    stream.close()


@pytest.fixture
def workspace(tmp_path: Path, root: Path) -> Iterator[Workspace]:
    """A workspace whose processes are gone at the end of the test."""
    made = Workspace(tmp_path, root / "src")
    yield made
    made.close()
