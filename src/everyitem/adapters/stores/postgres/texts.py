"""Texts PostgreSQL cannot hold: no NUL, which a JSON string may well contain. It is escaped on the way in.

U+E000, a character for private use, begins an escape: `U+E000 0` is a NUL, `U+E000 1` is U+E000 itself.
"""

from psycopg import Connection
from psycopg.abc import Buffer
from psycopg.types.string import StrDumperUnknown, TextBinaryLoader

_MARK = "\ue000"
_NUL, _ITSELF = f"{_MARK}0", f"{_MARK}1"


class _Dumper(StrDumperUnknown):
    def dump(self, obj: str) -> Buffer | None:
        return super().dump(escaped(obj))


class _Loader(TextBinaryLoader):
    def load(self, data: Buffer) -> str:
        text = super().load(data)
        return unescaped(text if isinstance(text, str) else text.decode())


def escaped(text: str) -> str:
    """The text without NUL."""
    return text.replace(_MARK, _ITSELF).replace("\x00", _NUL)


def unescaped(text: str) -> str:
    """The text `escaped` was given."""
    return text.replace(_NUL, "\x00").replace(_ITSELF, _MARK) if _MARK in text else text


def teach(connection: "Connection[tuple[object, ...]]") -> None:
    """Make every text on this connection go through here."""
    connection.adapters.register_dumper(str, _Dumper)
    connection.adapters.register_loader("text", _Loader)
