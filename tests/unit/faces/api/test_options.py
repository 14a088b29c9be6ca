"""Keyword arguments of everything that executes."""

import pytest

from everyitem.faces.api.options import check_options


def test_known_arguments_pass():
    """Those of RunOptions."""
    check_options({"parallelism": 4, "on_progress": print})


def test_an_unknown_argument_names_its_neighbour():
    """A typo must not be ignored."""
    with pytest.raises(TypeError, match="'paralelism'; did you mean 'parallelism'"):
        check_options({"paralelism": 4})


def test_an_argument_like_none_lists_all():
    """Without a neighbour the known ones are listed."""
    with pytest.raises(TypeError, match="known are processors"):
        check_options({"xyz": 4})
