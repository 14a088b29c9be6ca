"""Strict results: recorded JSON says exactly what the item processor returned, or the item fails."""

import collections
import dataclasses
import decimal
import enum
import json
import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everyitem.work.results import (
    MAX_DEPTH,
    UnusableResult,
    encode_result,
    is_strict,
    says_the_same,
    snapshot,
)

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=("Cs",)))
)
json_values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=("Cs",)), max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


class Always:
    """Equal to everything."""

    def __hash__(self):
        return 0

    def __eq__(self, other):
        return True


@dataclasses.dataclass(eq=False)
class Liar(Always):
    """Encoded as an object by msgspec, and equal to it by its own word."""

    a: int = 1


class Explosive:
    def __hash__(self):
        return 0

    def __eq__(self, other):
        raise RuntimeError("compared")


class Colour(enum.IntEnum):
    RED = 1


class Name(enum.StrEnum):
    A = "a"


class Label(str):
    __slots__ = ()


class Rate(float):
    __slots__ = ()


class Box(dict):
    pass


@given(st.lists(json_values, max_size=6))
def test_json_values_are_recorded_as_they_are(values):
    """Every strict JSON value, integers beyond 64 bits included, comes back equal and of the same type."""
    assert json.loads(encode_result(values)) == values
    assert [json.loads(encode_result(value)) for value in values] == values


@given(json_values)
def test_a_fault_at_any_depth_is_found(value):
    """Whatever surrounds it, a set is refused with the way to it."""
    spoilt = [value, {"deep": [value, {"set": {1}}]}]
    with pytest.raises(UnusableResult, match=r"\$\[1\]\.deep\[1\]\.set: set is not JSON"):
        encode_result(spoilt)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (math.nan, "NaN"),
        ({"a": [-math.inf]}, r"\$\.a\[0\]: Infinity"),
        ((1, 2), "tuple"),
        (b"raw", "bytes"),
        (decimal.Decimal("1.5"), "Decimal is not JSON; return str"),
        ({1: "one"}, r"key 1 \(int\)"),
        ({None: "none"}, "key None"),
        ({"a": "\ud800"}, "lone surrogate"),
        ({"\ud800": 1}, "lone surrogate"),
        (object(), "object is not JSON"),
        (Liar(), "Liar is not JSON"),
        ([{"x": Always()}], r"\$\[0\]\.x: Always"),
        ([Explosive()], "Explosive"),
        (msgspec.Raw(b"1"), "Raw"),
        (collections.deque(), "deque"),
    ],
)
def test_what_is_not_json_is_refused_with_path_and_type(value, message):
    """The message names where the culprit is and what it is; its own `__eq__` has no say."""
    with pytest.raises(UnusableResult, match=message):
        encode_result(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Colour.RED, b"1"),
        (Name.A, b'"a"'),
        (Label("x"), b'"x"'),
        (Rate(1.5), b"1.5"),
        (Box(a=Box()), b'{"a":{}}'),
        (collections.OrderedDict(a=1), b'{"a":1}'),
        (True, b"true"),
        (2**70, b"1180591620717411303424"),
        (-0.0, b"-0.0"),
    ],
)
def test_subclasses_are_recorded_as_the_value_they_are(value, text):
    """Enums, named strings and the like count as their JSON value."""
    assert encode_result(value) == text


def test_too_deep_and_circular_results_are_refused():
    """Nesting has a limit, so that whoever reads the result later can."""
    deep: list = []
    for _ in range(MAX_DEPTH + 1):
        deep = [deep]
    circular: list = []
    circular.append(circular)
    for value in (deep, circular):
        with pytest.raises(UnusableResult, match="deep"):
            encode_result(value)


def test_too_large_results_are_refused(monkeypatch):
    """A result beyond the limit fails with its size."""
    monkeypatch.setattr("everyitem.work.results.MAX_RESULT_BYTES", 1_000)
    with pytest.raises(UnusableResult, match="2,002 bytes"):
        encode_result("x" * 2_000)


@given(st.lists(json_values, max_size=6))
def test_plain_json_needs_no_careful_look(values):
    """The quick look at a whole block passes whatever is plain JSON within 64 bits."""
    text = snapshot(values)
    is_plain = b"null" in text or json.loads(text) == values
    assert is_plain
    assert is_strict(values, text)


@pytest.mark.parametrize(
    "spoilt",
    [{1: 2}, {"a": {2.5: 1}}, [[(1,)]], {"a": [math.nan, None]}, math.inf, Box(), {1}],
)
@pytest.mark.parametrize("others", [[], [1.5, None], [{"a": None}], [[{"b": {}}], {}]])
def test_one_unusual_part_is_seen_among_others(spoilt, others):
    """Keys that are no strings, NaN, tuples and sets, whatever floats, nulls and dicts stand beside them."""
    for values in ([spoilt, *others], [*others, {"deep": [spoilt]}]):
        text = msgspec.json.encode(values)
        assert not says_the_same(text, values)


def test_a_block_changed_since_its_snapshots_needs_a_careful_look():
    """What is plain now may not have been so when it was returned."""
    assert says_the_same(b'[{"rows":[1]}]', [{"rows": [1]}])
    assert not says_the_same(b'[{"rows":[1]}]', [{"rows": [1, 2]}])
