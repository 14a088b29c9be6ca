"""Somebody who takes events over HTTP, and refuses some, or is away."""

import http.server
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from tests.services.ports import free_port

#: What to answer to events: a status, and headers.
Answer = Callable[[list[dict[str, Any]]], tuple[int, dict[str, str]]]


class Receiver:
    """A server that keeps what it was sent; `port` 0 chooses a free one, where it may come back."""

    def __init__(self, port: int = 0) -> None:
        #: Every request: its headers, its body, and the events in it.
        self.requests: list[tuple[dict[str, str], bytes, list[dict[str, Any]]]] = []
        #: Events that were taken, in order, again where they came again.
        self.taken: list[dict[str, Any]] = []
        self.answer: Answer = lambda _: (204, {})
        self.came = threading.Condition()
        self._server = _Server(("127.0.0.1", port or free_port()), self)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where to send events."""
        return f"http://127.0.0.1:{self.port}/events"

    def ids(self) -> list[str]:
        """Of the events taken, each once, in the order they first came."""
        return list(dict.fromkeys(one["id"] for one in self.taken))

    def wait_for(self, count: int, seconds: float = 60.0) -> None:
        """Until so many different events were taken."""
        with self.came:
            assert self.came.wait_for(lambda: len(self.ids()) >= count, seconds), self.ids()

    def take(self, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str]]:
        """One request."""
        said = json.loads(body)
        events = said if isinstance(said, list) else [said]
        with self.came:
            self.requests.append((headers, body, events))
            status, more = self.answer(events)
            if status < 300:
                self.taken += events
            self.came.notify_all()
        return status, more

    def close(self) -> None:
        """Be away from now on."""
        self._server.shutdown()
        self._server.server_close()
        for connection in self._server.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], receiver: Receiver) -> None:
        self.receiver = receiver
        self.connections: list[socket.socket] = []
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.append(request)
        super().process_request(request, client_address)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        status, more = self.server.receiver.take(headers, body)
        self.send_response(status)
        for name, value in {"Content-Length": "0", **more}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def receiving(port: int = 0) -> Iterator[Receiver]:
    """A receiver for a while."""
    receiver = Receiver(port)
    try:
        yield receiver
    finally:
        receiver.close()
