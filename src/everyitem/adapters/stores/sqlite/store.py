"""The store in one SQLite file: opening it."""

from pathlib import Path

from everyitem.adapters.stores.relational.store import TableStore
from everyitem.adapters.stores.sqlite import location
from everyitem.adapters.stores.sqlite.connection import Connection
from everyitem.adapters.stores.sqlite.migrations import check_schema, known_migrations, migrate


class SqliteStore(TableStore):
    """All executions of one SQLite file."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Open the file, creating it and bringing its schema up to date unless `read_only`."""
        connection = Connection(path, read_only=read_only)
        super().__init__(
            f"sqlite:///{path}", connection, lambda read_only: Connection(path, read_only=read_only)
        )
        if read_only:
            location.require(path)
            location.refuse_remote(path)
            with connection.reading() as database:
                check_schema(database, path, known_migrations())
        else:
            location.prepare(path)
            migrate(path, known_migrations())
