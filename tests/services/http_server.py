"""`everyitem serve`, started as a user starts it, and bare requests to it."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: Seconds after which a wait is a failure.
PATIENCE = 120


class HttpServer:
    """One running server."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        #: What it said on standard error so far.
        self.said: list[str] = []
        self._is_up = threading.Event()
        self.port = 0
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        if not self._is_up.wait(PATIENCE) or not self.port:
            process.kill()
            raise AssertionError(f"it does not serve: {''.join(self.said)}")

    @property
    def url(self) -> str:
        """Where it is, for clients on this machine."""
        return f"http://127.0.0.1:{self.port}"

    def _listen(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line)
            if line.startswith("serving at "):
                self.port = int(line.rpartition(":")[2])
                self._is_up.set()
        self._is_up.set()

    def request(
        self,
        method: str,
        path: str,
        value: Any = None,
        *,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> "Answer":
        """One request on a connection of its own; `value` is sent as JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        sent = dict(headers or {})
        if value is not None:
            body = json.dumps(value).encode()
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
        try:
            connection.request(method, path, body=body, headers=sent)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers.items(), answer.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> "Answer":
        """Look."""
        return self.request(
            "GET", path, headers={name.replace("_", "-"): text for name, text in headers.items()}
        )

    def post(self, path: str, value: Any = None) -> "Answer":
        """Want something."""
        return self.request("POST", path, value)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Stop it and wait for its end; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(PATIENCE)
        self._listener.join(PATIENCE)
        return code


def until(reached: Callable[[], bool]) -> None:
    """Look at a server until it is as wanted, and leave it the time between two looks to get there."""
    deadline = time.monotonic() + PATIENCE
    while not reached():
        assert time.monotonic() < deadline, "it never came to that"
        threading.Event().wait(0.02)


class Answer:
    """Status, headers and body."""

    def __init__(self, status: int, headers: Iterable[tuple[str, str]], body: bytes) -> None:
        self.status = status
        self.headers = {name.lower(): value for name, value in headers}
        #: Name and value of each cookie that was set.
        self.cookies = [value.partition(";")[0] for name, value in headers if name.lower() == "set-cookie"]
        self.body = body

    @property
    def json(self) -> Any:
        """The body's value."""
        return json.loads(self.body)

    def __repr__(self) -> str:
        return f"<{self.status} {self.body[:300]!r}>"


@contextmanager
def serving(
    folder: Path, source: Path, *arguments: object, store: str | None = None, **environment: str
) -> Iterator[HttpServer]:
    """A server on a free port, with the store `store.db` of the folder unless another one is named."""
    search = os.pathsep.join(filter(None, [str(source), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "everyitem", "serve", "--port", "0"]
    command += ["--store", store or f"sqlite:///{folder}/store.db", *map(str, arguments)]
    process = subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": search, "XDG_DATA_HOME": str(folder), **environment},
        cwd=folder,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    server = HttpServer(process)
    try:
        yield server
    finally:
        server.end()
        process.stderr.close()
