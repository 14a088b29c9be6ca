"""What people say to alerts: that somebody looks after one, or that nobody need be told for a while."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from everyitem import compose
from everyitem.faces.api.actor import local_actor
from everyitem.model.alerts import Silence
from everyitem.model.errors import UsageError
from everyitem.ports.alerts import AlertStore
from everyitem.work.texts import is_storable


def acknowledge(store_url: str, alert_id: str, actor: str | None = None) -> None:
    """Have nobody told of an alert again. Raises `UsageError` when there is no such alert."""
    with _alerts(store_url) as alerts:
        by = actor or local_actor()
        if not (is_storable(alert_id) and alerts.acknowledge(alert_id, time.time(), by)):
            raise UsageError(f"there is no alert {alert_id!r}; see `everyitem alerts`")


def silence(store_url: str, seconds: float, *, batch: str, kind: str, reason: str) -> None:
    """Have nobody told of some alerts for a while."""
    if not seconds > 0:
        raise UsageError("a silence lasts for some time; `--for 0` ends those in force")
    with _alerts(store_url) as alerts:
        until = time.time() + seconds
        alerts.silence(Silence(batch=batch, kind=kind, until=until, by=local_actor(), reason=reason))


def end_silences(store_url: str) -> int:
    """End every silence in force; returns how many that were."""
    with _alerts(store_url) as alerts:
        return alerts.end_silences(time.time())


@contextmanager
def _alerts(store_url: str) -> Iterator[AlertStore]:
    alerts = compose.open_alerts(store_url)
    try:
        yield alerts
    finally:
        alerts.close()
