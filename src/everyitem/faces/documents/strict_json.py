"""What strict JSON forbids, found by looking everywhere and told with paths.

The fast path never comes here: msgspec reads a sound document. Only when it refuses, or when a decoded
value differs from what was given, the culprits are named by a lenient parse and a walk.
"""

import json
import math
import re
from collections.abc import Iterator
from typing import Any

_LARGEST_DIGITS = 309  # no double has more digits before the point
_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{},]', re.DOTALL)
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_AS_SQUARE = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"{}[]"))
_DIGITS_ALIKE = bytes.maketrans(b"123456789", b"0" * 9)
_HUGE_NUMBER = b"0" * _LARGEST_DIGITS
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*\Z")


class Unreadable:
    """Stands in a leniently parsed value where strict JSON allows nothing; says why."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


class RepeatingObject(dict[str, Any]):
    """An object whose text names some keys more than once."""

    repeated: tuple[str, ...] = ()


def parse_leniently(text: str) -> Any:
    """Parse JSON, keeping what is forbidden as `Unreadable` and marking repeated keys.

    Raises `ValueError` (with `lineno` and `colno`) for text that is not JSON at all, and `RecursionError`.
    """
    return json.loads(
        text,
        parse_constant=lambda name: Unreadable(f"{name} is not a JSON value"),
        parse_float=_parse_float,
        parse_int=_parse_int,
        object_pairs_hook=_parse_object,
    )


def _parse_float(digits: str) -> float | Unreadable:
    value = float(digits)
    return value if math.isfinite(value) else _out_of_range(digits)


def _parse_int(digits: str) -> int | Unreadable:
    # a length check first: converting millions of digits takes quadratic time
    if len(digits) > _LARGEST_DIGITS + 1:
        return _out_of_range(digits)
    value = int(digits)
    return value if is_in_range(value) else _out_of_range(digits)


def _out_of_range(digits: str) -> Unreadable:
    return Unreadable(f"number beyond the range of a double: {shorten(digits)}")


def _parse_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    plain = dict(pairs)
    if len(plain) == len(pairs):
        return plain
    repeating = RepeatingObject(plain)
    seen: set[str] = set()
    repeating.repeated = tuple(dict.fromkeys(key for key, _ in pairs if key in seen or seen.add(key)))  # type: ignore[func-returns-value]
    return repeating


def is_in_range(value: int) -> bool:
    """Whether an integer lies within the range of a double."""
    try:
        float(value)
    except OverflowError:
        return False
    return True


def shorten(text: str, length: int = 60) -> str:
    """About `length` characters of a text that may be huge."""
    return text if len(text) <= length else f"{text[: length - 20]}... ({len(text):,} characters)"


def member_path(path: str, key: object) -> str:
    """The JSON path of a member of an object."""
    if isinstance(key, str) and _PLAIN_KEY.match(key):
        return f"{path}.{shorten(key)}"
    return f"{path}[{shorten(repr(key))}]"


def find_faults(
    value: Any, path: str, *, max_depth: int, repeated_keys: bool = False
) -> Iterator[tuple[str, str]]:
    """Everything in a value that strict JSON forbids, as (path, message), in document order.

    Walks without recursion, so depth and cycles do no harm. `repeated_keys` also reports those.
    """
    stack: list[tuple[str, Any, int]] = [(path, value, 1)]
    while stack:
        where, one, depth = stack.pop()
        if isinstance(one, dict):
            if depth > max_depth:
                yield where, f"nested deeper than {max_depth} levels (maxDepth)"
                continue
            if repeated_keys and isinstance(one, RepeatingObject):
                yield from ((member_path(where, key), "this key occurs twice") for key in one.repeated)
            for key in one:
                if fault := _key_fault(key):
                    yield member_path(where, key), fault
            stack.extend(
                (member_path(where, key), member, depth + 1) for key, member in reversed(one.items())
            )
        elif isinstance(one, list):
            if depth > max_depth:
                yield where, f"nested deeper than {max_depth} levels (maxDepth)"
                continue
            stack.extend((f"{where}[{k}]", one[k], depth + 1) for k in range(len(one) - 1, -1, -1))
        elif fault := _scalar_fault(one):
            yield where, fault


def _key_fault(key: object) -> str | None:
    if not isinstance(key, str):
        return f"object keys must be strings, not {type(key).__name__}"
    return _text_fault(key)


def _scalar_fault(value: object) -> str | None:
    match value:
        case None | bool():
            return None
        case str():
            return _text_fault(value)
        case int():
            return None if is_in_range(value) else "number beyond the range of a double"
        case float():
            return None if math.isfinite(value) else f"{_FLOAT_NAMES[str(value)]} is not a JSON value"
        case Unreadable():
            return value.reason
    return f"{type(value).__name__} is not a JSON type; use dict, list, str, int, float, bool or None"


_FLOAT_NAMES = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def _text_fault(text: str) -> str | None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        return f"lone surrogate \\u{ord(text[error.start]):04x} at character {error.start} of the text"
    return None


def is_too_deep(text: bytes, max_depth: int) -> bool:
    """Whether a sound JSON text nests deeper than `max_depth`; at the speed of memory for most texts."""
    if text.count(b"[") + text.count(b"{") <= max_depth:
        return False
    brackets = _STRINGS.sub(b"", text).translate(_AS_SQUARE, _NO_BRACKETS)
    for _ in range(max_depth):
        # takes away the innermost level, everywhere at once
        brackets = brackets.replace(b"[]", b"")
        if not brackets:
            return False
    return True


def may_hold_huge_number(text: bytes) -> bool:
    """Whether a JSON text has a run of digits that could be an integer beyond a double's range."""
    return _HUGE_NUMBER in text.translate(_DIGITS_ALIKE)


def find_too_deep(text: str, path: str, *, max_depth: int) -> str | None:
    """The path at which a JSON text first nests deeper than `max_depth`; None when it never does.

    Works on tokens, so that a million brackets need no stack. Keys are named, without unescaping them.
    """
    frames: list[list[Any]] = []  # per open container: [is an object, position or last key, awaits a key]
    for match in _TOKENS.finditer(text):
        mark = match[0]
        if mark in "[{":
            if len(frames) == max_depth:
                steps = (member_path("", key) if is_object else f"[{key}]" for is_object, key, _ in frames)
                return path + "".join(steps)
            frames.append([mark == "{", "" if mark == "{" else 0, True])
        elif mark in "]}":
            if frames:
                frames.pop()
        elif mark == ",":
            if frames and frames[-1][0]:
                frames[-1][2] = True
            elif frames:
                frames[-1][1] += 1
        elif frames and frames[-1][0] and frames[-1][2]:
            frames[-1][1], frames[-1][2] = mark[1:-1], False
    return None
