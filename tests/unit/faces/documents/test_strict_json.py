"""Looking for what strict JSON forbids."""

import json

import pytest

from everyitem.faces.documents.strict_json import (
    find_faults,
    find_too_deep,
    is_too_deep,
    may_hold_huge_number,
    member_path,
    parse_leniently,
)


def nested(levels, inside="1"):
    """An array this many levels deep."""
    return "[" * levels + inside + "]" * levels


@pytest.mark.parametrize(("levels", "too_deep"), [(99, False), (100, False), (101, True), (5000, True)])
def test_depth_is_counted_exactly(levels, too_deep):
    """One level over the limit is too deep, however wide the text is beside it."""
    text = f'[{nested(levels - 1)}, [[]], {{"a": {{}}}}, "{"[" * 200}"]'
    assert is_too_deep(text.encode(), 100) is too_deep
    assert (find_too_deep(text, "$", max_depth=100) is not None) is too_deep


def test_the_path_of_too_much_depth_names_keys_and_positions():
    """The place is named as people find it."""
    text = '{"a": [0, {"b c": {"d": [[]]}}]}'
    assert find_too_deep(text, "$", max_depth=4) == "$.a[1]['b c'].d"


def test_brackets_inside_texts_are_no_depth():
    """Quotes, escaped quotes and backslashes do not confuse the count."""
    text = json.dumps([{'"[[[\\': ['"]]]\\"', "\\"]}] * 200)
    assert not is_too_deep(text.encode(), 3)
    assert find_too_deep(text, "$", max_depth=3) is None


def test_faults_come_in_document_order():
    """Reading order is the order of the problems."""
    value = parse_leniently('{"a": [NaN, {"b": 1e999}], "c": -Infinity, "d": 1%s}' % ("0" * 309))
    assert [path for path, _ in find_faults(value, "$", max_depth=10)] == ["$.a[0]", "$.a[1].b", "$.c", "$.d"]


def test_repeated_keys_are_found_only_where_asked():
    """Repeated keys matter in the envelope, not in items."""
    value = parse_leniently('{"a": {"x": 1, "x": 2, "x": 3, "y": 1}}')
    assert list(find_faults(value, "$", max_depth=10)) == []
    found = list(find_faults(value, "$", max_depth=10, repeated_keys=True))
    assert found == [("$.a.x", "this key occurs twice")]


@pytest.mark.parametrize(
    ("key", "path"), [("a", "$.a"), ("a-b", "$.a-b"), ("a b", "$['a b']"), ("", "$['']"), (5, "$[5]")]
)
def test_paths_quote_what_needs_it(key, path):
    """Plain keys follow a dot, all others stand in brackets."""
    assert member_path("$", key) == path


@pytest.mark.parametrize(("text", "may"), [(b"1" * 309, True), (b"1" * 308, False), (b"12345.678e10", False)])
def test_only_long_runs_of_digits_can_be_out_of_range(text, may):
    """309 digits are the fewest an integer beyond a double has."""
    assert may_hold_huge_number(text) is may
