"""Which server, database and schema a store URL names, and how to connect to it."""

import re
from typing import Any

import msgspec
import psycopg
from psycopg.conninfo import conninfo_to_dict

from everyitem.model.errors import UsageError
from everyitem.model.store_url import shown_url

#: Schema of the tables where the URL names no other (`?schema=NAME`).
SCHEMA = "everyitem"

#: What a URL may change, and what holds where it does not. A server that cannot be reached is noticed
#: within seconds, also when nothing comes back any more.
_DEFAULTS: dict[str, str | int] = {
    "application_name": "everyitem",
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}

_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")


class Place(msgspec.Struct, frozen=True):
    """One store: a schema of a database."""

    #: For libpq; holds secrets.
    conninfo: str
    schema: str
    #: For people.
    shown: str

    def __str__(self) -> str:
        return self.shown

    def __repr__(self) -> str:
        return f"Place({self.shown!r})"

    def parameters(self) -> dict[str, Any]:
        """What to connect with beside `conninfo`."""
        given = conninfo_to_dict(self.conninfo)
        return {name: value for name, value in _DEFAULTS.items() if name not in given} | {
            "client_encoding": "UTF8"
        }


def find_place(url: str) -> Place:
    """The place a URL `postgresql://...` names. Raises `UsageError` for one that cannot be understood."""
    conninfo, schema = _split(url)
    shown = shown_url(url)
    if not _NAME.fullmatch(schema):
        raise UsageError(
            f"store {shown}: schema {schema!r} is no plain name; use lower-case letters, digits and _"
        )
    try:
        conninfo_to_dict(conninfo)
    except psycopg.Error as error:
        # libpq repeats the whole URL, and with it the password
        what = str(error).strip().split('"')[0].rstrip(' :("')
        raise UsageError(f"store {shown}: cannot be understood ({what})") from None
    return Place(conninfo, schema, shown)


def _split(url: str) -> tuple[str, str]:
    """The URL without our own parameter, and what that says."""
    place, _, query = url.partition("?")
    parameters = [one for one in query.split("&") if one]
    schemas = [one.partition("=")[2] for one in parameters if one.startswith("schema=")]
    rest = "&".join(one for one in parameters if not one.startswith("schema="))
    return place + (f"?{rest}" if rest else ""), schemas[-1] if schemas else SCHEMA
