"""Where things are: stores by their URLs, sources by their kinds, the data directory."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from everyitem.engine.patience import Patience
from everyitem.engine.switch import Switch
from everyitem.model.errors import StoreError, UsageError
from everyitem.ports.alerts import AlertStore
from everyitem.ports.inbox import Inbox
from everyitem.ports.monitoring import Monitoring
from everyitem.ports.queue import BatchQueue
from everyitem.ports.relay import Outlet
from everyitem.ports.retention import Retention
from everyitem.ports.source import ItemSource, SourceSpec
from everyitem.ports.store import Store
from everyitem.ports.store_server import StoreServer
from everyitem.ports.tokens import TokenStore

if TYPE_CHECKING:
    from everyitem.ports.bearer import BearerTokens
    from everyitem.ports.sink import ResultSink
    from everyitem.settings.credentials import Credentials
    from everyitem.settings.platform import RestAccess, Results


def default_store_url() -> str:
    """The SQLite file in the user's data directory (XDG Base Directory Specification)."""
    return f"sqlite:///{data_directory() / 'everyitem.sqlite'}"


def data_directory() -> Path:
    """Where everyitem keeps what nobody has named a place for."""
    data = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(data) / "everyitem"


def open_outlet(url: str) -> Outlet:
    """The events the store at a URL is still to publish; raises as opening the store for writing does."""
    from everyitem.adapters.stores import opening

    return opening.open_outlet(url)


def open_store(url: str, *, read_only: bool = False) -> Store:
    """The store at a URL; raises `UsageError` for one this version does not know."""
    from everyitem.adapters.stores.opening import open_store as open_by_scheme

    return open_by_scheme(url, read_only=read_only)


def await_store(url: str, *, seconds: float, drain: float, switch: Switch) -> None:
    """Wait until the store at a URL, where one was a moment ago, can be read.

    A file that is not there is a volume that is away. Raises `StoreError` when nothing answers for `seconds`,
    or for `drain` after a stop was asked for.
    """

    def look() -> None:
        try:
            open_store(url, read_only=True).close()
        except UsageError as error:
            raise StoreError(str(error)) from error

    Patience(seconds, drain=drain, switch=switch).ask(look)


def open_queue(url: str, *, read_only: bool = False) -> BatchQueue:
    """The queue of the store at a URL; raises as `open_store` does."""
    from everyitem.adapters.stores.opening import open_queue as open_by_scheme

    return open_by_scheme(url, read_only=read_only)


def open_retention(url: str) -> Retention:
    """What gives up parts of the store at a URL; raises as opening the store for writing does."""
    from everyitem.adapters.stores import opening

    return opening.open_retention(url)


def open_tokens(url: str) -> TokenStore:
    """The access tokens kept in the store at a URL; raises as `open_store` does."""
    from everyitem.adapters.stores import opening

    return opening.open_tokens(url)


def call_web(url: str, *, method: str, body: bytes | None = None, headers: Mapping[str, str]) -> bytes:
    """The body of the reply to one call over HTTP. Raises `ports.web.WebError`."""
    from everyitem.adapters.web_call import call

    return call(url, method=method, body=body, headers=headers)


def client_tokens(credentials: "Credentials") -> "BearerTokens":
    """Tokens to show to the Cyoda platform, from its token server."""
    from everyitem.adapters.oauth2 import ClientTokens

    return ClientTokens(credentials)


def examine_server(url: str) -> StoreServer | None:
    """What there is to know about the server a store is on; None for a store in a file."""
    from everyitem.adapters.stores import opening

    return opening.examine_server(url) if opening.is_on_server(url) else None


def open_monitoring(url: str, *, read_only: bool = False) -> Monitoring:
    """The store at a URL as whoever looks after it sees it."""
    from everyitem.adapters.stores.opening import open_monitoring as open_by_scheme

    return open_by_scheme(url, read_only=read_only)


def open_alerts(url: str, *, read_only: bool = False) -> AlertStore:
    """The alerts kept in the store at a URL."""
    from everyitem.adapters.stores.opening import open_alerts as open_by_scheme

    return open_by_scheme(url, read_only=read_only)


def open_inbox(url: str) -> Inbox:
    """The events that come into the store at a URL, created where nothing is yet."""
    from everyitem.adapters.stores.opening import open_inbox as open_by_scheme

    return open_by_scheme(url)


def open_source(spec: SourceSpec) -> ItemSource:
    """The item source a document or `--items` asks for."""
    from everyitem.adapters.sources import open_source as open_by_kind

    return open_by_kind(spec)


def read_reference(url: str, sources: Mapping[str, Any], *, most: int) -> bytes:
    """The document behind a URL the operator allows (`[sources.http]`). Raises `SourceUnavailable`."""
    from everyitem.adapters.sources.reach import read_reference as read_by_url

    return read_by_url(url, sources, most=most)


def open_sink(results: "Results", access: "RestAccess") -> "ResultSink | None":
    """Where the results of single items go beside the store; None for nowhere. Raises `UsageError`."""
    from everyitem.adapters.sinks import build_sink

    return build_sink(results, access)
