"""Settings on the context cannot be changed, yet behave like ordinary JSON values."""

import copy
import json

import pytest

from everyitem.work.readonly import freeze, thaw
from everyitem.work.results import encode_result

VALUE = {"a": [1, {"b": "c"}], "d": None}


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value.update(a=1),
        lambda value: value.pop("a"),
        lambda value: value.__setitem__("a", 1),
        lambda value: value["a"].append(1),
        lambda value: value["a"][1].clear(),
        lambda value: value["a"].sort(),
        lambda value: value["a"].__delitem__(0),
    ],
)
def test_every_change_is_refused(change):
    """At any depth, with a message that says what to do."""
    value = freeze(VALUE)
    with pytest.raises(TypeError, match="work on a copy"):
        change(value)
    assert value == VALUE


def test_it_is_ordinary_json_and_copies_are_free():
    """It can be dumped and returned as a result; copies can be changed."""
    value = freeze(VALUE)
    assert json.loads(json.dumps(value)) == json.loads(encode_result(value)) == VALUE
    for loose in (thaw(value), copy.deepcopy(value)):
        loose["a"][1]["b"] = "changed"
    assert value == VALUE
