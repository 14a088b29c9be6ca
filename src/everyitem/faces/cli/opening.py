"""Opening the session a command works with."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from everyitem.faces.api.conduct import Inbox
from everyitem.faces.api.session import Session
from everyitem.faces.cli.terminal import note, safe


@contextmanager
def open_session(
    store: str | None,
    config: Path | None,
    *,
    inbox: Inbox | None = None,
    announce: bool = True,
    settings: Mapping[str, object] | None = None,
) -> Iterator[Session]:
    """A session on the store in force; says where that is when nobody chose it (unless not to `announce`).

    `settings` are further ones the command line has decided, by their snake_case names.
    """
    session = Session.connect(store, config=config, inbox=inbox, **(settings or {}))
    if announce and session.is_default_store:
        note(f"store: {safe(session.store_url)}")
    for warning in session.warnings:
        note(f"warning: {safe(warning)}")
    try:
        yield session
    finally:
        session.close()
