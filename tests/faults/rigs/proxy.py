"""A TCP proxy between a client and a server on loopback, which cuts, stalls and swallows on demand."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Self


class Proxy:
    """Passes bytes on until it is told otherwise."""

    def __init__(self, target: int) -> None:
        """`target` is the port of the server."""
        self._target = target
        self._lock = threading.Lock()
        self._links: set[_Link] = set()
        self._flows = threading.Event()
        self._flows.set()
        self._cut = False
        #: Requests until the fault (0: none), and whether the server still gets that request.
        self._countdown, self._after, self._lasting = 0, False, False
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._acceptor.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            # wakes the thread that accepts, which closing alone does not
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._flows.set()
        self._drop_all()
        self._acceptor.join(10)

    def cut(self) -> None:
        """Cut every connection and refuse new ones, until `mend`."""
        self._cut = True
        self._drop_all()

    def stall(self) -> None:
        """Take what comes and pass nothing on, until `mend`."""
        self._flows.clear()

    def mend(self) -> None:
        """Pass bytes on again."""
        self._cut = False
        self._flows.set()

    def fail_at(self, request: int, *, after: bool, lasting: bool = False) -> None:
        """Cut at the nth request: before the server gets it, or before the client gets the answer.

        `lasting` refuses new connections from then on, until `mend`.
        """
        with self._lock:
            self._countdown, self._after, self._lasting = request, after, lasting

    @property
    def is_armed(self) -> bool:
        """Whether the fault asked for has not come yet."""
        return self._countdown > 0

    def disarm(self) -> None:
        """No fault after all."""
        self._countdown = 0

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._cut:
                client.close()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                client.close()
                continue
            link = _Link(client, server)
            with self._lock:
                self._links.add(link)
            threading.Thread(target=self._requests, args=(link,), daemon=True).start()
            threading.Thread(target=self._answers, args=(link,), daemon=True).start()

    def _requests(self, link: "_Link") -> None:
        with self._until_dropped(link):
            while data := link.client.recv(1 << 16):
                self._flows.wait()
                if fault := self._comes_due():
                    if not self._after:
                        return
                    link.swallows = fault
                link.server.sendall(data)

    def _comes_due(self) -> bool:
        with self._lock:
            if self._countdown == 0:
                return False
            self._countdown -= 1
            due = self._countdown == 0
            self._cut = self._cut or (due and self._lasting)
            return due

    def _answers(self, link: "_Link") -> None:
        with self._until_dropped(link):
            while data := link.server.recv(1 << 16):
                self._flows.wait()
                if link.swallows:
                    return
                link.client.sendall(data)

    @contextlib.contextmanager
    def _until_dropped(self, link: "_Link") -> Iterator[None]:
        try:
            yield
        except OSError:
            pass  # one of the ends is gone, and the other one goes now
        finally:
            link.drop()
            link.leave()
            with self._lock:
                self._links.discard(link)

    def _drop_all(self) -> None:
        with self._lock:
            links = list(self._links)
        for link in links:
            link.drop()


class _Link:
    """A connection from the client and one to the server."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client, self.server = client, server
        #: The next answer is the one to be lost.
        self.swallows = False
        self._lock = threading.Lock()
        self._users = 2

    def drop(self) -> None:
        """Cut both ways; the sockets are freed by the second of the two threads that use them."""
        for end in (self.client, self.server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def leave(self) -> None:
        """One of the two threads is done."""
        with self._lock:
            self._users -= 1
            last = self._users == 0
        if last:
            self.client.close()
            self.server.close()
