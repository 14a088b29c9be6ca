"""Several observers as one, of which none can harm the run or keep the others from seeing."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

from everyitem.model.alerts import Condition
from everyitem.model.status import ExecutionStatus
from everyitem.ports.node import Lease, NodeMessage
from everyitem.ports.observer import NoObserver, Observer, RunView, Vitals
from everyitem.ports.outcome import FailedItem

_log = logging.getLogger("everyitem")


class Observers:
    """Passes on what a run tells to those who listen to that part of it."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._by_method = {
            name: [getattr(one, name) for one in observers if _listens(one, name)]
            for name in ("began", "leased", "heard", "failed", "saved", "looked", "noticed", "ended")
        }

    def began(self, run: RunView) -> None:
        self._tell("began", run)

    def leased(self, at: float, node_id: str, holder: str, lease: Lease) -> None:
        self._tell("leased", at, node_id, holder, lease)

    def heard(self, message: NodeMessage) -> None:
        self._tell("heard", message)

    def failed(self, failures: Sequence[FailedItem]) -> None:
        self._tell("failed", failures)

    def saved(self, began: float, ended: float, segments: int) -> None:
        self._tell("saved", began, ended, segments)

    def looked(self, at: float, vitals: Vitals) -> None:
        self._tell("looked", at, vitals)

    def noticed(self, condition: Condition, *, stands: bool) -> None:
        self._tell("noticed", condition, stands=stands)

    def ended(self, status: ExecutionStatus, code: str, message: str) -> None:
        self._tell("ended", status, code, message)

    def _tell(self, name: str, *what: Any, **how: Any) -> None:
        listeners = self._by_method[name]
        for listener in listeners[:]:
            try:
                listener(*what, **how)
            except Exception:
                # who only watches must not be able to end what he watches
                _log.exception("an observer failed at %r and is not told of it again", name)
                listeners.remove(listener)


def _listens(observer: Observer, name: str) -> bool:
    """Whether it does anything when told; most care for a part only, and the rest shall cost nothing."""
    method: Callable[..., None] = getattr(type(observer), name)
    return method is not getattr(NoObserver, name)
