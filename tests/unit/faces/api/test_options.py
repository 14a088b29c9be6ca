"""Keyword arguments of everything that executes."""

import pytest

from everyitem.faces.api.options import check_options


def test_known_arguments_pass():
    """Those of RunOptions."""
    check_options({"parallelism": 4, "on_progress": print})


@pytest.mark.parametrize("unusable", [{"on_progress": 5}, {"switch": "off"}])
def test_what_cannot_be_used_is_refused_before_anything_runs(unusable):
    """It would be found out when the batch is under way, or never."""
    with pytest.raises(TypeError, match="must be"):
        check_options(unusable)
    check_options(dict.fromkeys(unusable))


def test_an_unknown_argument_names_its_neighbour():
    """A typo must not be ignored."""
    with pytest.raises(TypeError, match="'paralelism'; did you mean 'parallelism'"):
        check_options({"paralelism": 4})


def test_an_argument_like_none_lists_all():
    """Without a neighbour the known ones are listed."""
    with pytest.raises(TypeError, match="known are store, processors"):
        check_options({"xyz": 4}, "store")


def test_the_functions_own_arguments_are_known():
    """A typo in one of them names it."""
    with pytest.raises(TypeError, match="did you mean 'rerun'"):
        check_options({"re_run": True}, "items", "rerun")


@pytest.mark.parametrize(
    ("name", "advice"),
    [("no_progress", "on_progress="), ("fail_on_item_failure", "items_failed"), ("server", "HTTP API")],
)
def test_options_of_the_command_line_say_what_to_do_instead(name, advice):
    """They mean nothing to a caller."""
    with pytest.raises(TypeError, match=advice):
        check_options({name: True})
