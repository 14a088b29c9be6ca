"""The store in a PostgreSQL database: opening it."""

from everyitem.adapters.stores.postgres.connection import Connection
from everyitem.adapters.stores.postgres.migrations import check_schema, known_migrations, migrate
from everyitem.adapters.stores.postgres.place import find_place
from everyitem.adapters.stores.relational.store import TableStore


class PostgresStore(TableStore):
    """All executions of one schema of a PostgreSQL database."""

    def __init__(self, url: str, *, read_only: bool = False) -> None:
        """Connect, creating the tables or bringing them up to date unless `read_only`."""
        place = find_place(url)
        connection = Connection(place, read_only=read_only)
        super().__init__(
            place.shown,
            connection,
            lambda read_only: Connection(place, read_only=read_only),
        )
        try:
            if read_only:
                check_schema(connection, known_migrations())
            else:
                migrate(connection, known_migrations())
        except BaseException:
            connection.close()
            raise
