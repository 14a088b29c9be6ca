"""Services to be killed, and a client that looks at them from outside."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from tests.services import service_process

from everyitem.faces.service.service import Service
from everyitem.faces.service.views import BatchStatus

#: Seconds after which a wait is a failure.
PATIENCE = 120.0

PROCESSORS = '''
import os, time
from everyitem import item_processor


@item_processor("note")
def note(item, context):
    """Notes every call outside the store, and takes its time."""
    parameters = context.parameters
    ledger = os.open(parameters["ledger"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(ledger, f"{context.batch_id} {context.item_id} {os.getpid()}\\n".encode())
    os.close(ledger)
    time.sleep(parameters["seconds"])
    while "gate" in parameters and not os.path.exists(parameters["gate"]) and not context.cancelled:
        time.sleep(0.01)
    if "die" in parameters:
        os.abort()
    return item
'''


class Rig:
    """A store, item processors, and services on them. `client` is a service that carries nothing out."""

    def __init__(self, folder: Path, source: Path, store: str | None = None) -> None:
        self.folder, self._source = folder, source
        self.store = store or f"sqlite:///{folder}/store.db"
        self.ledger = folder / "ledger"
        self.gate = folder / "gate"
        self.processors = folder / "processors.py"
        self.processors.write_text(PROCESSORS)
        self.client = Service.connect(self.store, processors=[str(self.processors)], logs=folder / "logs")
        self.services: list[subprocess.Popen[str]] = []

    def start(self, **environment: str) -> "subprocess.Popen[str]":
        """Start a service and wait until it is up."""
        name = f"service{len(self.services)}"
        search = os.pathsep.join(filter(None, [str(self._source), os.environ.get("PYTHONPATH")]))
        with (self.folder / f"{name}.log").open("wb") as log:
            service = subprocess.Popen(
                [sys.executable, service_process.__file__, self.store, self.processors, self.folder / name],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, "PYTHONPATH": search, **environment},
            )
        self.services.append(service)
        assert service.stdout is not None
        assert service.stdout.readline() == "up\n", self.said()
        return service

    def said(self) -> str:
        """What all services wrote to standard error, in the order of their starts."""
        return "".join(
            (self.folder / f"service{number}.log").read_text() for number in range(len(self.services))
        )

    def document(
        self, batch_id: str, *, items: int = 10, seconds: float = 0.01, **top: Any
    ) -> dict[str, Any]:
        """A batch that notes its calls."""
        parameters = {"ledger": str(self.ledger), "seconds": seconds, **top.pop("parameters", {})}
        return {
            "batchId": batch_id,
            "batchItems": list(range(items)),
            "processingConfiguration": {"processor": "note", "parameters": parameters},
            "allocatedResources": {},
            "executionPlan": {},
            "checkpointInterval": 5,
            **top,
        }

    def submit(self, batch_id: str, **how: Any) -> None:
        """Hand a batch in, as somebody called ada."""
        self.client.submit(json.dumps(self.document(batch_id, **how)).encode(), actor="ada")

    def when(self, reached: Callable[[BatchStatus], bool], batch_id: str = "b") -> BatchStatus:
        """The status of a batch once it is as wanted."""
        deadline = time.monotonic() + PATIENCE
        while not reached(status := self.client.status(batch_id)):
            assert time.monotonic() < deadline, f"{status}\n{self.said()}"
            time.sleep(0.02)
        return status

    def when_in(self, state: str, batch_id: str = "b") -> BatchStatus:
        """The status of a batch once it is in a state."""
        return self.when(lambda status: status.state == state, batch_id)

    def calls(self, batch_id: str = "b") -> list[str]:
        """Items of a batch in the order of their calls."""
        if not self.ledger.exists():
            return []
        lines = [line.split() for line in self.ledger.read_text().splitlines()]
        return [line[1] for line in lines if line[0] == batch_id]

    def results(self, batch_id: str = "b") -> list[str]:
        """Items of a batch that have a recorded success."""
        with self.client.session() as session:
            return [one.item_id for one in session.results(batch_id) if one.succeeded]

    def children(self, service: "subprocess.Popen[str]") -> list[psutil.Process]:
        """The processes below a service."""
        return psutil.Process(service.pid).children(recursive=True)

    def close(self) -> None:
        """End everything."""
        self.gate.touch()
        for service in self.services:
            service.kill()
            service.wait()
            if service.stdout is not None:
                service.stdout.close()
        self.client.stop()


def when_gone(processes: list[psutil.Process], seconds: float) -> None:
    """Wait until processes are no more."""
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    assert not alive, alive
