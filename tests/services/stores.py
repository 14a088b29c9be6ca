"""Changing what is in a store behind its back, whatever kind it is."""

import sqlite3
from contextlib import closing

import psycopg


def edit(url: str, statement: str, *values: object) -> list[tuple[object, ...]]:
    """Run one statement (`?` for values) on the tables of a store; returns its rows."""
    if url.startswith("sqlite:///"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database:
            database.execute("PRAGMA wal_autocheckpoint=0")
            rows = database.execute(statement, values).fetchall()
            database.commit()
            return rows
    place, _, schema = url.replace("&schema=", "?schema=").partition("?schema=")
    with psycopg.connect(place, autocommit=True) as database:
        database.execute("SELECT set_config('search_path', %s, false)", (schema or "everyitem",))
        cursor = database.execute(statement.replace("?", "%s").encode(), values)
        return cursor.fetchall() if cursor.description else []


def expire_lease(url: str) -> None:
    """As if every owner had not renewed for longer than its lease."""
    edit(url, "UPDATE execution_states SET owner_expires_at = 1.0 WHERE owner_expires_at IS NOT NULL")
