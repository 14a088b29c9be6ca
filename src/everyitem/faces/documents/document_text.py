"""A batch document's bytes: told apart into the envelope and the items, or refused with the reason.

The envelope is the text of the document with the value of `batchItems` replaced by `[]`: small, kept as
given, and read by pydantic. The items stay bytes.
"""

import re
from dataclasses import dataclass
from typing import Any

import msgspec

from everyitem.faces.documents.problems import Problems
from everyitem.faces.documents.strict_json import find_too_deep, parse_leniently
from everyitem.model.errors import ErrorCode
from everyitem.settings import Settings

_KEY = re.compile(rb'[\s,{]*("(?:[^"\\]|\\.)*")\s*:\s*')
_WIDE_MARKS = (
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)

_split = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_key = msgspec.json.Decoder(str).decode


class _ItemsOnly(msgspec.Struct):
    batchItems: msgspec.Raw = msgspec.Raw(b"[]")  # noqa: N815 - the document's own name


_find_items = msgspec.json.Decoder(_ItemsOnly).decode

#: What msgspec raises for text it cannot read; UnicodeDecodeError is a ValueError, RecursionError is not.
READING_ERRORS = (msgspec.MsgspecError, ValueError, RecursionError)


@dataclass(frozen=True, slots=True)
class SplitText:
    """The two parts of a document's text; `items` is None where there is no `batchItems`."""

    envelope: bytes
    items: msgspec.Raw | None


def foreign_encoding(data: bytes) -> str | None:
    """Why these bytes are visibly not UTF-8 JSON; None when they may be."""
    if data.startswith(b"\xef\xbb\xbf"):
        return "begins with a byte order mark (BOM); save the document as UTF-8 without one"
    for mark, name in _WIDE_MARKS:
        if data.startswith(mark):
            return f"is {name} text; a batch document must be UTF-8"
    if b"\x00" in data[:4]:
        return "begins with NUL bytes (UTF-16, UTF-32 or no text at all); a batch document must be UTF-8"
    return None if data.strip() else "is empty; a batch document is one JSON object"


def split_text(data: bytes, settings: Settings, problems: Problems) -> SplitText | None:
    """Tell envelope and items apart; None after a problem was added, or when `diagnose` has to look."""
    try:
        size = len(data) - len(_find_items(data).batchItems)
        if size > settings.max_envelope_bytes:
            problems.add(
                "$",
                f"{size:,} bytes beside the items; the limit is {settings.max_envelope_bytes:,}"
                " (maxEnvelopeBytes)",
            )
            return None
        parts = _split(data)
    except READING_ERRORS:
        return None
    items = parts.get("batchItems")
    if items is None:
        return SplitText(data, None)
    span = _span_of_items(data, parts)
    # no span: a key occurs twice, which `diagnose` names
    return span and SplitText(data[: span[0]] + b"[]" + data[span[1] :], items)


def _span_of_items(data: bytes, parts: dict[str, msgspec.Raw]) -> tuple[int, int] | None:
    """Where the value of `batchItems` begins and ends; None when the document repeats a key.

    Walks the top level only: every value found must be the one msgspec found under that key, and the last
    of equal keys wins there, so a mismatch or a second sight means a repeated key.
    """
    position, span = 0, None
    seen: set[str] = set()
    while match := _KEY.match(data, position):
        key = _decode_key(match[1])
        start, stop = match.end(), match.end() + len(parts[key])
        if key in seen or not data.startswith(memoryview(parts[key]), start):
            return None
        seen.add(key)
        if key == "batchItems":
            span = (start, stop)
        position = stop
    return span if len(seen) == len(parts) else None


def diagnose(data: bytes, settings: Settings, problems: Problems) -> Any:
    """What is wrong with a document that could not be split, as far as its text goes.

    Returns the leniently parsed document when it is JSON at heart (NaN, a lone surrogate, a repeated key),
    so that everything else wrong with it can be found too; None when there is nothing to look at.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        problems.add("$", f"not UTF-8: byte 0x{data[error.start]:02x} {place_of(data, error.start)}")
        return None
    try:
        return parse_leniently(text)
    except RecursionError:
        deep = find_too_deep(text, "$", max_depth=settings.max_depth) or "$"
        code = ErrorCode.ITEM_ERROR if deep.startswith("$.batchItems[") else ErrorCode.EXECUTION_ERROR
        problems.add(deep, f"nested deeper than {settings.max_depth} levels (maxDepth)", code)
    except ValueError as error:
        message, at = getattr(error, "msg", str(error)), getattr(error, "pos", 0)
        problems.add(
            "$", f"not valid JSON: {message.removesuffix(' at')} {place_of(data, len(text[:at].encode()))}"
        )
    return None


def place_of(data: bytes, position: int) -> str:
    """A byte position as people look for it."""
    line = data.count(b"\n", 0, position) + 1
    column = position - (data.rfind(b"\n", 0, position) + 1) + 1
    return f"at line {line}, column {column} (byte {position})"
