"""What is said about damaged checkpoints a command goes past."""

import shlex
from collections.abc import Iterable, Iterator

from everyitem.faces.api.views import ItemResult
from everyitem.faces.cli.terminal import note, safe
from everyitem.ports.store import StoreFault


class Damage:
    """Collects what cannot be read, and says so at the end; false while everything was readable."""

    def __init__(self, batch_id: str) -> None:
        self._batch_id = batch_id
        self._faults: list[StoreFault] = []
        #: Results that went through `counted`.
        self.read = 0
        self._is_complete = False

    def __call__(self, fault: StoreFault) -> None:
        """Take note of a damaged checkpoint."""
        self._faults.append(fault)

    def __bool__(self) -> bool:
        return bool(self._faults)

    def counted(self, results: Iterable[ItemResult]) -> Iterator[ItemResult]:
        """The results as they are, counted."""
        for result in results:
            self.read += 1
            yield result
        self._is_complete = True

    def say(self, recorded: int | None = None) -> None:
        """One line, if there is something to say; `recorded` is how many results there should have been."""
        if not self._faults:
            return
        damaged = sorted({fault.sequence for fault in self._faults if fault.sequence is not None})
        which = f"checkpoint {', '.join(map(str, damaged))} is damaged" if damaged else "damaged"
        missing = "some items"
        if recorded is not None and self._is_complete:
            missing = f"{recorded - self.read:,} items"
        verify = f"everyitem verify {shlex.quote(safe(self._batch_id))}"
        note(f"warning: {missing} unreadable: {which}; see `{verify}`")
