"""What a supervised process has said through its pipe, and how it ended."""

import signal
from contextlib import suppress
from dataclasses import dataclass, field

from everyitem.faces.supervision.link import Recovery


@dataclass
class Life:
    """One supervised process, from its start to its end."""

    is_up: bool = False
    progressed: bool = False
    ends: int | None = None
    #: As of `subprocess`: negative for a signal.
    returncode: int = 0
    _rest: bytes = field(default=b"", repr=False)

    def hear(self, data: bytes) -> Recovery | None:
        """Take in what came through the pipe; the execution it goes on with, if it said so.

        The pipe is open in a process that runs users' code: a line of somebody else says nothing.
        """
        begun = None
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            with suppress(ValueError):
                begun = self._take(line.decode().split(" ")) or begun
        return begun

    def _take(self, words: list[str]) -> Recovery | None:
        match words:
            case ["up"]:
                self.is_up = True
            case ["progressed"]:
                self.progressed = True
            case ["begun", execution, batch_id]:
                return Recovery(bytes.fromhex(batch_id).decode(), int(execution))
            case ["ends", code]:
                self.ends = int(code)
        return None

    @property
    def text(self) -> str:
        """How it ended, for people."""
        if self.returncode >= 0:
            return f"exit code {self.returncode}"
        try:
            return signal.Signals(-self.returncode).name
        except ValueError:
            return f"signal {-self.returncode}"
