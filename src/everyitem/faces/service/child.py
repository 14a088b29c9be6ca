"""The process of one batch: `everyitem resume`, with the store, processors and part of the machine given.

It has no more to do with the service than a pipe: it says what it does on it (`supervision.link`), dies with
the thread that has started it, and is known to everybody else by the execution it owns in the store.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, Final

from everyitem.engine.allocation import Start
from everyitem.faces.supervision.life import Life
from everyitem.faces.supervision.link import VARIABLE, Recovery, told
from everyitem.ports.queue import Ticket
from everyitem.settings import Settings

#: What the code of items must not see of the service's environment.
_SECRETS: Final = frozenset(("EVERYITEM_API_TOKEN",))


class Child:
    """A running batch. To be used on the thread that starts it, which must outlive it."""

    def __init__(
        self, ticket: Ticket, start: Start, settings: Settings, store_url: str, log: IO[bytes]
    ) -> None:
        """Start the process; raises `OSError` when it cannot be."""
        self.ticket = ticket
        self.slots = start.slots
        self.memory_mb = start.memory_mb
        self.life = Life()
        self.started = time.monotonic()
        #: When (monotonic) it was last asked for something, and its execution last seen to have an owner.
        self.asked, self.seen_owned = 0.0, self.started
        self._answer = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the child
        ours, theirs = os.pipe()
        try:
            self._process = subprocess.Popen(
                _command(ticket, settings),
                stdin=subprocess.DEVNULL,
                stdout=self._answer,
                stderr=log,
                pass_fds=[theirs],
                # signals for the service's terminal are not for its batches
                process_group=0,
                env=_environment(start, settings, store_url) | {VARIABLE: told(theirs, _recovery(ticket))},
            )
        except BaseException:
            os.close(ours)
            self._answer.close()
            raise
        finally:
            os.close(theirs)
        os.set_blocking(ours, False)
        #: Readable when it says something, and when it has ended.
        self.pipe = ours

    @property
    def key(self) -> int:
        """The execution it carries out."""
        return self.ticket.execution_key

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def hear(self) -> bool:
        """Take in what it says; False when it has closed its end."""
        try:
            while data := os.read(self.pipe, 65536):
                self.life.hear(data)
        except BlockingIOError:
            return True
        return False

    def has_ended(self) -> bool:
        """Whether the process is gone; its life is complete then."""
        code = self._process.poll()
        if code is None:
            return False
        self.life.returncode = code
        self.hear()
        return True

    def stop(self, *, at_once: bool = False) -> None:
        """Ask it to drain, checkpoint and end; asked again it ends without draining."""
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL if at_once else signal.SIGTERM)

    def answer(self) -> bytes:
        """What it printed: a response, if it came so far."""
        self._answer.seek(0)
        return self._answer.read()

    def close(self) -> None:
        """Free everything; the process must have ended."""
        os.close(self.pipe)
        self._answer.close()


def _recovery(ticket: Ticket) -> Recovery | None:
    """A run after the first one since somebody asked opens no new window of the batch timeout."""
    return Recovery(ticket.batch_id, ticket.execution) if ticket.runs > ticket.runs_before else None


def _command(ticket: Ticket, settings: Settings) -> Sequence[str]:
    command = [sys.executable, "-m", "everyitem", "resume", "--for-service", "--no-progress"]
    command += ["--execution", str(ticket.execution)]
    for processor in settings.processors:
        command += ["--processors", processor]
    if settings.file is not None:
        command += ["--config", settings.file]
    return [*command, "--", ticket.batch_id]


def _environment(start: Start, settings: Settings, store_url: str) -> dict[str, str]:
    """The store's URL may hold a password, and command lines are everybody's to read."""
    ours = {name: value for name, value in os.environ.items() if name not in _SECRETS}
    memory = min(start.memory_mb, settings.max_memory_mb)
    return ours | {
        "EVERYITEM_STORE": store_url,
        "EVERYITEM_MAX_MEMORY_MB": str(memory),
        "EVERYITEM_GRANTED_SLOTS": str(start.slots),
    }
