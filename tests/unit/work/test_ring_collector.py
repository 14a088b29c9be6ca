"""What a worker process records of its items."""

import decimal
import enum
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everyitem.work.results import UnusableResult, check_one, encode_result, snapshot

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def encode_one(value: Any) -> bytes:
    """As the collector does it: a snapshot first, then the short check."""
    text = snapshot(value)
    check_one(text, value)
    return text


@given(json_values)
def test_json_values_are_recorded_as_they_are(value: Any) -> None:
    """The short cut writes exactly what the strict way writes."""
    assert encode_one(value) == encode_result(value)


class Level(enum.IntEnum):
    HIGH = 3


class Liar(dict):
    """Claims to equal everything."""

    __hash__ = None

    def __eq__(self, other: object) -> bool:
        return True


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        {"a": math.nan},
        {"a": -math.inf},
        [math.nan],
        {1: 2},
        {"a": {1: 2}},
        {None: 1},
        {1, 2},
        {"a": {1}},
        (1, 2),
        b"bytes",
        {"a": b"bytes"},
        decimal.Decimal(1),
        {"a": decimal.Decimal(1)},
        "\ud800",
        {"a": "\ud800"},
        {"\ud800": 1},
        Liar({"a": math.nan}),
        object(),
    ],
)
def test_what_is_not_json_is_refused(value: Any) -> None:
    """Nothing that msgspec would bend into JSON silently gets through the short cut."""
    with pytest.raises(UnusableResult):
        encode_one(value)


@pytest.mark.parametrize(
    "value", [10**30, -(10**400), {"a": 10**30}, Level.HIGH, {"a": None}, "null", {"null": 1}]
)
def test_unusual_but_proper_values_pass(value: Any) -> None:
    """Large integers, nulls, and enums that are integers are JSON."""
    text = encode_one(value)
    assert text == encode_result(value)
    if abs(value if isinstance(value, int) else 0) < 2**63:
        assert msgspec.json.decode(text) == value
