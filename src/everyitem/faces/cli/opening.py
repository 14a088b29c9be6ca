"""Opening the session a command works with."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from everyitem.faces.api.conduct import Inbox
from everyitem.faces.api.session import Session
from everyitem.faces.cli.chosen import chosen_server
from everyitem.faces.cli.terminal import note, safe
from everyitem.model.errors import UsageError
from everyitem.ports.observer import Observer

if TYPE_CHECKING:
    from everyitem.faces.http.client import Client


if TYPE_CHECKING:
    #: What commands that look or steer work with.
    Looking = Session | Client


def open_client(store: str | None) -> "Client | None":
    """A client of the chosen server; None where none was chosen.

    Raises:
        UsageError: a store was named, too.
    """
    server = chosen_server()
    if server is None:
        return None
    if store is not None:
        raise UsageError("--store does not go with --server: the server has its own")
    from everyitem.faces.http.client import connect

    return connect(server)


@contextmanager
def open_looking(store: str | None, config: Path | None) -> "Iterator[Looking]":
    """What a command that looks or steers works with: the chosen server, or the store in force."""
    client = open_client(store)
    if client is None:
        with open_session(store, config) as session:
            yield session
        return
    with client:
        yield client


@contextmanager
def open_session(
    store: str | None,
    config: Path | None,
    *,
    inbox: Inbox | None = None,
    observer: Observer | None = None,
    announce: bool = True,
    settings: Mapping[str, object] | None = None,
) -> Iterator[Session]:
    """A session on the store in force; says where that is when nobody chose it (unless not to `announce`).

    `settings` are further ones the command line has decided, by their snake_case names.
    """
    session = Session.connect(store, config=config, inbox=inbox, observer=observer, **(settings or {}))
    if announce and session.is_default_store:
        note(f"store: {safe(session.store_url)}")
    for warning in session.warnings:
        note(f"warning: {safe(warning)}")
    try:
        yield session
    finally:
        session.close()
