"""Strict results: what an item processor returns must be JSON as it stands, or the item fails.

msgspec encodes NaN as null, sets and tuples as lists, bytes and Decimals as strings, and integer keys as
strings, without a word. So a result is encoded the moment it is returned, and a look at the types of all its
parts says whether the text can be believed; only when something but JSON's own types occurs does a slow walk
look for the culprit. A block of results is looked at in one go, level by level at C speed (about 0.1 us
each); where the first failure must be known at once, flat results are checked one by one.
"""

import gc
import json
import math
from collections.abc import Sequence
from typing import Any

import msgspec

from everyitem.model.deferral import Deferred
from everyitem.work.texts import ask, class_name

#: Largest JSON text of one result, in bytes.
MAX_RESULT_BYTES = 256 << 20
#: Deepest nesting of one result.
MAX_DEPTH = 500

#: The text msgspec makes of a value, or whatever it raises.
encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_JSON_TYPES = frozenset({dict, list, str, int, float, bool, type(None)})
_KEYS = frozenset({str})
_SCALARS = frozenset({str, int, float, bool, type(None)})
_HINTS = {
    "set": "; return sorted(...) or list(...)",
    "frozenset": "; return sorted(...) or list(...)",
    "tuple": "; return list(...)",
    "bytes": "; decode it to str first",
    "bytearray": "; decode it to str first",
    "Decimal": "; return str(...) to keep every digit",
    "datetime": "; return .isoformat()",
    "date": "; return .isoformat()",
    "UUID": "; return str(...)",
    "coroutine": '; declare the item processor with "async def"',
    "ndarray": "; return .tolist()",
}


class NoResultYet(Exception):
    """The item processor returned a `Deferred`: how the item leaves the loop without a result."""

    def __init__(self, deferred: Deferred) -> None:
        super().__init__(f"the outcome will come within {deferred.timeout:g} s")
        self.timeout = deferred.timeout


class UnusableResult(Exception):
    """A result that is not strictly JSON; the message says where and why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        #: JSON path to the culprit, built while the walk unwinds, innermost step first.
        self.steps: list[str] = []

    def __str__(self) -> str:
        return f"result ${''.join(reversed(self.steps))}: {self.reason}"


def snapshot(result: Any) -> bytes:
    """The JSON text of a result at this moment: the function may change the object it returned later.

    Whether the text says what the result said is left to `says_the_same`, `check_snapshot` and `check_one`.
    Raises `UnusableResult` for what cannot be encoded at all, and `NoResultYet` for a `Deferred`.
    """
    try:
        return encode(result)
    except Exception:  # an unusual type may raise anything; the careful way says what is wrong
        if issubclass(type(result), Deferred):
            raise NoResultYet(result) from None
        return _encode_carefully(result)


def says_the_same(text: bytes, results: list[Any]) -> bool:
    """Whether `text`, a JSON array of snapshots, says exactly what `results` say, and they are plain JSON.

    False calls for a careful look at each: something is not strictly JSON, of an unusual type, or was
    changed since its snapshot. Raises nothing, even while another thread changes the results.
    """
    try:
        return len(text) <= MAX_RESULT_BYTES and is_strict(results, text) and encode(results) == text
    except Exception:
        return False


def check_snapshot(text: bytes, result: Any) -> None:
    """Raise `UnusableResult` if a result was not strictly JSON when its snapshot was taken.

    One that was changed since is judged by its snapshot, which is all that is left of it.
    """
    if says_the_same(b"[" + text + b"]", [result]):
        return
    _check_size(text)
    try:
        _encode_carefully(result)
    except UnusableResult:
        if not _has_changed(text, result):
            raise


def _has_changed(text: bytes, result: Any) -> bool:
    try:
        return encode(result) != text
    except Exception:
        # then so it was when the snapshot was taken, the careful way, or it has changed
        return True


def check_one(text: bytes, result: Any) -> None:
    """As `check_snapshot`, at once: `result` is as it was when the snapshot was taken.

    Most results are a scalar or a flat dict. Of these the types say at a third of the cost that msgspec
    wrote them as they are, but for NaN and Infinity, which show as `null`.
    """
    if type(result) is dict:
        for key, value in result.items():
            if type(value) not in _SCALARS or type(key) is not str:
                return check_snapshot(text, result)
    elif type(result) not in _SCALARS:
        return check_snapshot(text, result)
    if len(text) > MAX_RESULT_BYTES or b"null" in text:
        check_snapshot(text, result)
    return None


def encode_result(result: Any) -> bytes:
    """The JSON text of one result; raises `UnusableResult` for what is not strictly JSON."""
    text = snapshot(result)
    check_snapshot(text, result)
    return text


def is_strict(values: list[Any], text: bytes) -> bool:
    """Whether nothing but exact JSON types occurs at any depth of `values`, whose encoding is `text`.

    Found level by level at C speed; no `__eq__` or `__hash__` of anybody else is called. Where floats and
    `null` occur together, decoding the text tells NaN and Infinity from None.
    """
    level: Sequence[Any] = values
    types = set(map(type, level))
    has_floats = False
    for _depth in range(MAX_DEPTH + 1):
        if not types <= _JSON_TYPES:
            return False
        has_floats = has_floats or float in types
        if not (dict in types or list in types):
            return not (has_floats and b"null" in text) or bool(_decode(text) == values)
        # strings and numbers refer to nothing, so what comes back is the contents of dicts and lists
        inner = gc.get_referents(*level)
        inner_types = set(map(type, inner))
        if dict in types and not (inner_types <= _JSON_TYPES and _has_string_keys(level, types)):
            return False
        level, types = inner, inner_types
    return False


def _has_string_keys(level: Sequence[Any], types: set[type]) -> bool:
    """Whether the dicts among these values, whose keys are of exact JSON types, have strings for keys."""
    dicts = level if len(types) == 1 else [value for value in level if type(value) is dict]
    return set(map(type, set().union(*dicts))) <= _KEYS


def _encode_carefully(result: Any) -> bytes:
    try:
        text = _encode_plain(_plain(result, 0))
    except (UnusableResult, MemoryError):
        raise
    except RecursionError as error:
        raise UnusableResult("it is nested too deeply, or contains itself") from error
    except Exception as error:  # changed by another thread meanwhile, or an integer of thousands of digits
        raise UnusableResult(f"it cannot be encoded: {ask(str, error)}") from error
    _check_size(text)
    return text


def _encode_plain(plain: Any) -> bytes:
    try:
        return encode(plain)
    except (OverflowError, ValueError, RecursionError):
        # integers beyond 64 bits on msgspec versions that do not write them
        return json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _check_size(text: bytes) -> None:
    if len(text) > MAX_RESULT_BYTES:
        raise UnusableResult(
            f"it has {len(text):,} bytes of JSON, more than the {MAX_RESULT_BYTES:,} allowed; "
            "store large data elsewhere and return where it is"
        )


def _plain(value: Any, depth: int) -> Any:
    """The value in JSON's own types (subclasses reduced to their base); raises `UnusableResult`."""
    if value is None or value is True or value is False:
        return value
    if isinstance(value, str):
        text = str.__str__(value)
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise UnusableResult("a string with a lone surrogate is not valid UTF-8") from error
        return text
    if isinstance(value, int):
        return int.__index__(value)
    if isinstance(value, float):
        number = float.__float__(value)
        if not math.isfinite(number):
            name = "NaN" if math.isnan(number) else "Infinity"
            raise UnusableResult(f"{name} is not JSON; return None or raise an error")
        return number
    if isinstance(value, dict | list) and depth >= MAX_DEPTH:
        raise UnusableResult(f"it is nested deeper than {MAX_DEPTH} levels, or contains itself")
    if isinstance(value, dict):
        return {_plain_key(key): _plain_part(part, key, depth) for key, part in dict.items(value)}
    if isinstance(value, list):
        return [_plain_part(part, number, depth) for number, part in enumerate(list.__iter__(value))]
    name = class_name(value)
    raise UnusableResult(
        f"{name} is not JSON{_HINTS.get(name, '; return dict, list, str, int, float, bool or None')}"
    )


def _plain_key(key: Any) -> str:
    if not isinstance(key, str):
        raise UnusableResult(f"the key {ask(repr, key):.80} ({class_name(key)}) is not a string")
    return str(_plain(key, 0))


def _plain_part(part: Any, step: Any, depth: int) -> Any:
    try:
        return _plain(part, depth + 1)
    except UnusableResult as fault:
        # deep paths are cut: the last steps are the ones that help
        if len(fault.steps) < 20:
            fault.steps.append(f"[{step}]" if isinstance(step, int) else f".{step:.80}")
        raise
