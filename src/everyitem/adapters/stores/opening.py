"""From a store URL to an open store; the technology behind a scheme is imported only when it is asked for."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from everyitem.model.errors import UsageError
from everyitem.model.store_url import shown_url
from everyitem.ports.alerts import AlertStore
from everyitem.ports.inbox import Inbox
from everyitem.ports.monitoring import Monitoring
from everyitem.ports.queue import BatchQueue
from everyitem.ports.relay import Outlet
from everyitem.ports.retention import Retention
from everyitem.ports.store import Store
from everyitem.ports.store_server import StoreServer
from everyitem.ports.tokens import TokenStore

if TYPE_CHECKING:
    from everyitem.adapters.stores.relational.store import TableStore

_SQLITE = "sqlite:///"
_POSTGRES = ("postgresql", "postgres")


def open_monitoring(url: str, *, read_only: bool = False) -> Monitoring:
    """The store at `url` as whoever looks after it sees it. Raises as `open_store` does."""
    return _open_tables(url, read_only=read_only).monitoring


def open_alerts(url: str, *, read_only: bool = False) -> AlertStore:
    """The alerts kept in the store at `url`.

    Raises as `open_store` does, and `UsageError` where there is no store: an alert that the store is away
    must not make an empty one in its place.
    """
    return (_open_tables(url, read_only=True) if read_only else _open_existing(url)).alerts


def open_tokens(url: str) -> TokenStore:
    """The access tokens kept in the store at `url`. Raises as `open_store` does."""
    return _open_tables(url, read_only=False).tokens


def open_inbox(url: str) -> Inbox:
    """The events that come into the store at `url`. Raises as `open_store` does."""
    return _open_tables(url, read_only=False).inbox


def open_outlet(url: str) -> Outlet:
    """The events the store at `url` is still to publish.

    Raises as `open_store` does, and `UsageError` where there is no store (yet).
    """
    return _open_existing(url).outlet


def open_store(url: str, *, read_only: bool = False) -> Store:
    """Open the store at `url`, creating it where nothing is yet (unless `read_only`).

    `sqlite:///PATH` or a plain path names an SQLite file; what follows the three slashes is the path as
    it stands, so an absolute one makes four. `postgresql://...` is what libpq takes, `schema=NAME` names
    the schema of the tables. Raises `UsageError` for any other scheme and for a read-only
    store that does not exist, `StoreTooNew` for one written by a newer everyitem, and `StoreError` where
    the place cannot hold a store.
    """
    return _open_tables(url, read_only=read_only)


def open_retention(url: str) -> Retention:
    """What gives up parts of the store at `url`.

    Raises as opening the store for writing does, and `UsageError` where there is no store.
    """
    return _open_existing(url)


def open_queue(url: str, *, read_only: bool = False) -> BatchQueue:
    """The queue in the store at `url`. Opens and raises as `open_store` does."""
    from everyitem.adapters.stores.relational.queue import TableQueue

    return TableQueue(_open_tables(url, read_only=read_only).connection())


def is_on_server(url: str) -> bool:
    """Whether the store at `url` is kept by a server, and not in a file."""
    return url.partition("://")[0] in _POSTGRES


def examine_server(url: str) -> StoreServer:
    """What there is to know about the server a store is on. Raises as opening the store does."""
    with _needing_psycopg(url):
        from everyitem.adapters.stores.postgres.examination import examine
    return examine(url)


def _open_existing(url: str) -> "TableStore":
    """For writing, but only where a store is: its volume may be unmounted."""
    if not is_on_server(url):
        from everyitem.adapters.stores.sqlite.location import require

        require(_sqlite_path(url))
    return _open_tables(url, read_only=False)


def _open_tables(url: str, *, read_only: bool) -> "TableStore":
    if is_on_server(url):
        return _open_postgres(url, read_only=read_only)
    path = _sqlite_path(url)
    from everyitem.adapters.stores.sqlite.store import SqliteStore

    return SqliteStore(path, read_only=read_only)


def _open_postgres(url: str, *, read_only: bool) -> "TableStore":
    with _needing_psycopg(url):
        from everyitem.adapters.stores.postgres.store import PostgresStore
    return PostgresStore(url, read_only=read_only)


@contextmanager
def _needing_psycopg(url: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise UsageError(
            f"store {shown_url(url)}: the PostgreSQL store needs psycopg ({error}); "
            "install it with `pip install 'everyitem[postgres]'`"
        ) from error


def _sqlite_path(url: str) -> Path:
    scheme, separator, _ = url.partition("://")
    if url.startswith(_SQLITE):
        path = url.removeprefix(_SQLITE)
    elif not separator:
        path = url
    elif scheme == "sqlite":
        raise UsageError(f"store {url!r}: a store needs a file and three slashes: sqlite:///PATH")
    else:
        raise UsageError(
            f"store {shown_url(url)!r}: unknown scheme {scheme!r}; use sqlite:///PATH or postgresql://..."
        )
    if not path or path == ":memory:":
        raise UsageError(f"store {url!r}: a store needs a file that outlives the process: sqlite:///PATH")
    place = Path(path).expanduser().absolute()
    # SQLite puts its log beside the file a link leads to; so must lie whatever else belongs to the store
    return Path(os.path.realpath(place)) if place.is_symlink() else place
