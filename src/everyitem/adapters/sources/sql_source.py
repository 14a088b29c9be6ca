"""SQL: one item per row of a query the operator has set up; the columns are its fields.

A document names a query of `[sources.sql.NAME]` and gives values for its placeholders. It writes SQL of its
own only where the operator says so there (`allow-queries`), and the transaction reads only, in any case.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from everyitem.adapters.sources.rows import chunk_of
from everyitem.model.store_url import shown_url
from everyitem.ports.source import SourceChunk, SourceFault, SourceSpec, SourceUnavailable

#: Rows handed over together.
_CHUNK_ROWS = 1024
_SQLITE = "sqlite:///"


class SqlSource:
    """The rows of one query as JSON objects.

    `reference` is the name of the set-up, `parameters` are the values of its placeholders: `:name` in
    SQLite, `%(name)s` in PostgreSQL.
    """

    def __init__(self, spec: SourceSpec) -> None:
        """Raises `SourceUnavailable` when the operator has set up nothing of this name, or not enough."""
        known = spec.setup.get("sql", {})
        setup = known.get(spec.reference) if isinstance(known, Mapping) else None
        if not isinstance(setup, Mapping) or not isinstance(setup.get("url"), str):
            raise SourceUnavailable(
                f"the operator has set up no [sources.sql.{spec.reference}] with a url in everyitem.toml"
            )
        self.name = spec.reference
        self._url: str = setup["url"]
        self._query = self._query_of(setup, spec.options)
        parameters = spec.options.get("parameters", {})
        if not isinstance(parameters, dict):
            raise SourceUnavailable("parameters must be an object: the values of the query's placeholders")
        self._parameters: dict[str, Any] = parameters

    def _query_of(self, setup: Mapping[str, Any], options: Mapping[str, Any]) -> str:
        own = options.get("query")
        if own is None:
            query = setup.get("query")
            if not isinstance(query, str):
                raise SourceUnavailable(f"[sources.sql.{self.name}] has no query")
            return query
        if setup.get("allow-queries") is not True:
            raise SourceUnavailable(
                f"[sources.sql.{self.name}] allows no queries of a document's own (allow-queries = true)"
            )
        return str(own)

    def chunks(self) -> Iterator[SourceChunk]:
        rows = self._sqlite() if self._url.startswith(_SQLITE) else self._postgres()
        number = 0
        for names, some in rows:
            yield _chunk(names, some, number)
            number += len(some)

    def _sqlite(self) -> Iterator[tuple[list[str], Sequence[tuple[Any, ...]]]]:
        path = Path(self._url.removeprefix(_SQLITE)).absolute()
        try:
            with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
                database.execute("PRAGMA query_only=ON")
                database.execute("PRAGMA trusted_schema=OFF")
                cursor = database.execute(self._query, self._parameters)
                names = [column[0] for column in cursor.description or ()]
                while some := cursor.fetchmany(_CHUNK_ROWS):
                    yield names, some
        except sqlite3.Error as error:
            raise SourceUnavailable(f"{shown_url(self._url)}: {error}") from None

    def _postgres(self) -> Iterator[tuple[list[str], Sequence[tuple[Any, ...]]]]:
        try:
            import psycopg
        except ImportError as error:
            raise SourceUnavailable(
                f"PostgreSQL needs psycopg ({error}); install it with `pip install 'everyitem[postgres]'`"
            ) from None
        try:
            with psycopg.connect(self._url) as database:
                database.read_only = True
                # a cursor of the server's: a million rows do not come at once
                with database.cursor(name="everyitem_items") as cursor:
                    cursor.execute(self._query.encode(), self._parameters or None)
                    names = [column.name for column in cursor.description or ()]
                    while some := cursor.fetchmany(_CHUNK_ROWS):
                        yield names, some
        except psycopg.Error as error:
            raise SourceUnavailable(f"{shown_url(self._url)}: {str(error).strip()}") from None


def _chunk(names: list[str], rows: Sequence[tuple[Any, ...]], before: int) -> SourceChunk:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        return SourceChunk([], [], [SourceFault(0, f"the query names a column twice: {', '.join(repeated)}")])
    return chunk_of((dict(zip(names, row, strict=True)) for row in rows), before)
