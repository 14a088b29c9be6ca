"""The member's end of the stream process: started, spoken to, and started again where it dies."""

import socket
import subprocess
import sys
import threading
from collections.abc import Callable

from everyitem.faces.cyoda.frames import (
    Answer,
    Connect,
    Finish,
    FromStream,
    ToStream,
    frame,
    read_from_stream,
    receive_frame,
)

#: Seconds the stream process has to end by itself.
_PATIENCE = 6.0


class Link:
    """One stream process. `hear` is called from a thread of the link; with None when the process is gone."""

    def __init__(self, setup: Connect, hear: Callable[[FromStream | None], None]) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "everyitem.faces.cyoda.stream_process", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        self._connection, self._hear = ours, hear
        self._thread = threading.Thread(target=self._listen, name="everyitem-cyoda-link", daemon=True)
        self._thread.start()
        self._send(setup)

    @property
    def pid(self) -> int:
        """Of the stream process."""
        return self._process.pid

    def answer(self, answer: Answer) -> None:
        """Send an answer to the platform."""
        self._send(answer)

    def close(self) -> None:
        """Let it send what is under way and end; blocks a few seconds at most."""
        self._send(Finish())
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._thread.join(_PATIENCE)
        self._connection.close()

    def _send(self, value: ToStream) -> None:
        try:
            self._connection.sendall(frame(value))
        except OSError:
            # it is dead or dying; `hear` is told so, and whoever waits there asks again
            pass

    def _listen(self) -> None:
        while (body := receive_frame(self._connection)) is not None:
            self._hear(read_from_stream(body))
        self._process.wait()
        self._connection.close()
        self._hear(None)
