"""Executions whose process died, and that no service is to carry out: somebody has to go on with them.

What is in the queue a service takes over by itself. What somebody ran with `everyitem run` and lost, nobody
does: that is told to whoever is on call.
"""

import logging
import math
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Final

from everyitem import compose
from everyitem.engine.alerts.rules import dead_owner
from everyitem.model.alerts import AlertKind, Condition
from everyitem.model.errors import EveryitemError

_log = logging.getLogger("everyitem.service")

#: Seconds between two looks.
LOOK: Final = 5.0

#: Told of everything that is wrong with an execution (batch, number), each time.
Notice = Callable[[tuple[str, int], Sequence[Condition]], None]


class Orphans:
    """Looks for them in one store, on a thread of its own."""

    def __init__(self, store_url: str, notice: Notice) -> None:
        self._store_url, self._notice = store_url, notice
        self._told: set[tuple[str, int]] | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Look from now on."""
        self._thread = threading.Thread(target=self._live, name="everyitem-orphans", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Look no more."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(LOOK)

    def _live(self) -> None:
        while not self._stop.wait(LOOK):
            try:
                self._look()
            except EveryitemError as error:
                # a store that is away is told of elsewhere
                _log.debug("no look for executions whose process died: %s", error)
            except Exception:
                _log.exception("the look for executions whose process died failed, and is tried again")

    def _look(self) -> None:
        if self._told is None:
            # what a service before this one has told, and what may have become well meanwhile
            with closing(compose.open_alerts(self._store_url, read_only=True)) as alerts:
                standing = alerts.recent(math.inf)
            kind = AlertKind.OWNER_GONE
            self._told = {(one.batch_id, one.execution) for one in standing if one.kind is kind}
        with closing(compose.open_monitoring(self._store_url, read_only=True)) as monitoring:
            records = monitoring.active()
        found = {
            (record.batch_id, record.execution): condition
            for record in records
            if not record.queued and (condition := dead_owner(record)) is not None
        }
        for scope, condition in found.items():
            self._notice(scope, [condition])
        for scope in self._told - found.keys():
            self._notice(scope, [])
        self._told = set(found)
