"""Who observes what is executed, and who looks after a store: alerts, metrics, traces, the relay."""

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from everyitem.compose.places import open_alerts, open_outlet
from everyitem.engine.alerts.desk import AlertDesk
from everyitem.engine.item_log import ItemLog
from everyitem.model.errors import UsageError
from everyitem.model.trace import is_traceparent
from everyitem.ports.observer import Observer, Overview
from everyitem.ports.subscription import Subscription
from everyitem.settings import Settings

if TYPE_CHECKING:
    from everyitem.adapters.metrics.endpoint import MetricsEndpoint
    from everyitem.adapters.traces.export import Tracing
    from everyitem.engine.relay import Relay
    from everyitem.settings.platform import RestAccess

#: What alerts about events that are to be published are filed under.
_EVENTS = ("(events)", 0)


def json_log_handler(write: Callable[[str], None]) -> logging.Handler:
    """A log handler that hands JSON lines to `write`, from a thread of its own."""
    from everyitem.adapters.logs.background import BackgroundHandler
    from everyitem.adapters.logs.json_lines import JsonLines

    return BackgroundHandler(write, JsonLines())


def render_metrics(overview: Overview) -> bytes:
    """The text Prometheus scrapes. Raises `UsageError` where the extra is missing."""
    with _needing("metrics"):
        from everyitem.adapters.metrics.exposition import render
    return render(overview, now=time.time())


class Watching:
    """Who observes what one session executes. Made by `watch`, closed when the session ends."""

    def __init__(
        self,
        endpoint: "MetricsEndpoint | None",
        tracing: "Tracing | None",
        desk: AlertDesk,
        relay: "Relay | None",
        *,
        flush: float,
        observer: Observer | None = None,
    ) -> None:
        """`flush`: seconds the end waits for events that are on their way; `observer`: one more."""
        self._observer = observer
        self._endpoint, self._tracing, self._relay, self._flush = endpoint, tracing, relay, flush
        #: Alerts of what this session executes, and of whatever its face notices.
        self.desk = desk

    @property
    def metrics_address(self) -> str | None:
        """Where the metrics are, if they are served."""
        return None if self._endpoint is None else self._endpoint.address

    def run(self) -> tuple[list[Observer], str]:
        """The observers of one run, which begins now, and the trace it belongs to (W3C; empty without one).

        Where no spans are made, a trace the environment names is handed on as it is.
        """
        self.publish()
        observers: list[Observer] = [ItemLog(), self.desk.observer()]
        observers += [one for one in (self._observer, self._endpoint) if one is not None]
        if self._tracing is not None:
            spans = self._tracing.run()
            return [*observers, spans], spans.traceparent
        given = os.environ.get("TRACEPARENT", "")
        return observers, given if is_traceparent(given) else ""

    def publish(self) -> None:
        """Publish the events of the store from now on, where something takes them."""
        if self._relay is not None:
            self._relay.begin()

    def close(self) -> None:
        """Tell what is to be told, and stop serving."""
        if self._endpoint is not None:
            self._endpoint.close()
        if self._tracing is not None:
            self._tracing.close()
        if self._relay is not None:
            self._relay.close(self._flush)
        self.desk.close()


def _relay(settings: Settings, store_url: str, desk: AlertDesk) -> "Relay | None":
    """Who publishes the events of the store; None where nothing takes them."""
    if not settings.events.publisher:
        return None
    from everyitem.adapters.publishers import build_publisher
    from everyitem.engine.relay import Relay

    return Relay(
        lambda: open_outlet(store_url),
        build_publisher(settings.events, platform=_platform(settings)),
        tries=settings.events.tries,
        limits=settings.alerts.limits,
        notice=lambda conditions: desk.notice(_EVENTS, conditions),
    )


def _platform(settings: Settings) -> "RestAccess | None":
    """Where the Cyoda platform is, for events that go there."""
    if settings.events.publisher != "cyoda":
        return None
    # pydantic is for those who need it
    from everyitem.settings.platform import read_rest_access

    return read_rest_access(settings)


def watch(settings: Settings, store_url: str, observer: Observer | None = None) -> Watching:
    """Observers as the settings want them, and one more. Raises `UsageError` for what cannot be had."""
    from everyitem.adapters.alerts import build_channels

    desk = AlertDesk(settings.alerts, build_channels(settings.alerts), lambda: open_alerts(store_url))
    tracing = endpoint = None
    if settings.traces_endpoint is not None:
        with _needing("otel"):
            from everyitem.adapters.traces.export import Tracing
        tracing = Tracing(settings.traces_endpoint, item_share=settings.trace_items)
    if settings.metrics_port is not None:
        with _needing("metrics"):
            from everyitem.adapters.metrics.endpoint import MetricsEndpoint
        endpoint = MetricsEndpoint(settings.metrics_host, settings.metrics_port)
    return Watching(
        endpoint,
        tracing,
        desk,
        _relay(settings, store_url, desk),
        flush=settings.events.flush_seconds,
        observer=observer,
    )


def subscribe(settings: Settings) -> Subscription | None:
    """The events of others, from a broker; None where none is listened to.

    Raises `UsageError` for a broker that cannot be had.
    """
    events = settings.events
    if not events.listen:
        return None
    from everyitem.adapters.publishers import broker_url
    from everyitem.adapters.subscriptions import build_subscription

    return build_subscription(events.publisher, broker_url(events), events.listen, events.timeout_seconds)


def look_after(settings: Settings, store_url: str) -> Watching:
    """Who publishes the events of a store and tells of what is wrong with it, whoever executes its batches.

    Raises `UsageError` for what cannot be had.
    """
    from everyitem.adapters.alerts import build_channels

    channels = build_channels(settings.alerts)
    desk = AlertDesk(settings.alerts, channels, lambda: open_alerts(store_url), adopts=True)
    return Watching(None, None, desk, _relay(settings, store_url, desk), flush=settings.events.flush_seconds)


@contextmanager
def _needing(extra: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise UsageError(
            f"this needs the extra {extra!r} ({error}); install it with `pip install 'everyitem[{extra}]'`"
        ) from error
