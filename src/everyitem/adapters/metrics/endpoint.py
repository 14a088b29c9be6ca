"""An address for Prometheus to scrape, in the process that executes."""

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from wsgiref.simple_server import WSGIServer

from prometheus_client import start_http_server

from everyitem.adapters.metrics.exposition import registry
from everyitem.model.errors import UsageError
from everyitem.ports.observer import NoObserver, Overview, Vitals


class MetricsEndpoint(NoObserver):
    """Serves `/metrics` for the runs it observes, from memory: a store that is away changes nothing.

    The last figures of a run stay: whoever scrapes once in a while shall see its end.
    """

    def __init__(self, host: str, port: int, look: Callable[[], Overview] | None = None) -> None:
        """Listen from now on; port 0 takes a free one. Raises `UsageError` where that cannot be.

        `look` adds what is known of the store as a whole.
        """
        self._vitals: dict[tuple[str, int], Vitals] = {}
        self._look = look or Overview
        try:
            server, thread = start_http_server(port, addr=host, registry=registry(self._overview, time.time))
        except OSError as error:
            raise UsageError(
                f"metrics cannot be served on {host}:{port}: {error.strerror or error}; choose another "
                "--metrics-port"
            ) from error
        self._host = host
        self._server: WSGIServer = server
        self._thread: Thread = thread
        self.address = f"http://{host}:{server.server_port}/metrics"

    def looked(self, at: float, vitals: Vitals) -> None:
        self._vitals[vitals.batch_id, vitals.execution] = vitals

    def close(self) -> None:
        """Serve no more."""
        ending = Thread(target=self._server.shutdown)
        ending.start()
        # the server looks whether it is to end twice a second only, and when somebody calls
        with suppress(OSError):
            socket.create_connection((self._host, self._server.server_port), timeout=1.0).close()
        ending.join()
        self._server.server_close()
        self._thread.join()

    def _overview(self) -> Overview:
        overview = self._look()
        return Overview(
            vitals=tuple(self._vitals.values()),
            executions=overview.executions,
            outbox_events=overview.outbox_events,
            outbox_oldest=overview.outbox_oldest,
            alerts=overview.alerts,
        )
