"""Connections to the store, for callers on many threads."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Final

from everyitem import compose
from everyitem.faces.api.session import Session
from everyitem.model.errors import EveryitemError, StoreError
from everyitem.ports.queue import BatchQueue
from everyitem.ports.store import Store
from everyitem.settings import Settings

#: Callers served at once; the others wait a moment. Each has two connections to the store.
MOST_DESKS: Final = 8


@dataclass(frozen=True, slots=True)
class Desk:
    """What one caller at a time works with."""

    session: Session
    queue: BatchQueue

    def close(self) -> None:
        """Free the connections."""
        self.session.close()
        self.queue.close()


class Desks:
    """Desks that are lent out, and used again."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._free: list[Desk] = []
        self._guard = threading.Lock()
        self._places = threading.Semaphore(MOST_DESKS)
        self.store_url = settings.store or compose.default_store_url()

    @contextmanager
    def lent(self) -> Iterator[Desk]:
        """A desk of the caller's own for a while. One that met with trouble is not lent again."""
        with self._places:
            with self._guard:
                desk = self._free.pop() if self._free else None
            if desk is None:
                desk = Desk(Session(self._settings), compose.open_queue(self.store_url))
            try:
                yield desk
            except StoreError:
                desk.close()
                raise
            except EveryitemError:
                # what was refused says nothing about the connections
                self._take_back(desk)
                raise
            except BaseException:
                desk.close()
                raise
            self._take_back(desk)

    @contextmanager
    def store(self) -> Iterator[Store]:
        """The store, for something that writes to executions."""
        with closing(compose.open_store(self.store_url)) as store:
            yield store

    def close(self) -> None:
        """Free all connections that are not lent."""
        with self._guard:
            while self._free:
                self._free.pop().close()

    def _take_back(self, desk: Desk) -> None:
        with self._guard:
            self._free.append(desk)
