"""Where alerts go, and where they are kept."""

from collections.abc import Sequence
from typing import Protocol

from everyitem.model.alerts import Alert, Page, Silence


class AlertChannel(Protocol):
    """A way to reach people. Used from one thread of its own."""

    name: str

    def send(self, page: Page) -> None:
        """Deliver; may block. Whatever it raises means that nobody was reached."""
        ...


class AlertStore(Protocol):
    """The alerts and silences of one store. Usable from any thread, one at a time; raises `StoreError`."""

    def put(self, alert: Alert) -> None:
        """Keep an alert, or what has become of it; who acknowledged it is left as it is.

        Another alert that stands for the same incident stays, and this one is not kept beside it.
        """
        ...

    def recent(self, since: float) -> list[Alert]:
        """Alerts that stand, and those resolved after `since`, oldest first."""
        ...

    def alerts(self, batch_id: str | None = None, *, limit: int = 100) -> list[Alert]:
        """The latest alerts, of one batch or of all, newest first."""
        ...

    def acknowledge(self, alert_id: str, at: float, by: str) -> bool:
        """Somebody looks after it; False when there is no such alert. The first to say so counts."""
        ...

    def silence(self, silence: Silence) -> None:
        """Keep a silence."""
        ...

    def end_silences(self, at: float) -> int:
        """End all that are in force; says how many that were."""
        ...

    def silences(self, at: float) -> Sequence[Silence]:
        """Those in force."""
        ...

    def close(self) -> None:
        """Free the connection."""
        ...
