"""Causes of failures that are alike are told as one."""

from everyitem.model.causes import Alike, cause_of, grouped, pattern_of


def test_a_cause_is_the_first_line_and_no_novel() -> None:
    """What is shown in a list has one line of bounded length."""
    assert cause_of("ValueError", "no price\nfor this one") == "ValueError: no price"
    assert cause_of("ValueError", "") == "ValueError: "
    assert len(cause_of("ValueError", "x" * 1000)) == len("ValueError: ") + 120


def test_causes_that_differ_in_what_varies_from_item_to_item_are_alike() -> None:
    """Numbers, ids and quoted parts; not the words."""
    assert pattern_of("E: account 17 of 'Ann' is closed") == pattern_of("E: account 4-x of 'Bob' is closed")
    assert pattern_of("E: account 17 is closed") != pattern_of("E: account 17 is blocked")


def test_groups_add_up_and_the_most_frequent_stands_for_the_others() -> None:
    """No failure is lost by grouping; the largest group comes first."""
    found = grouped([("E: item 1", 2), ("F: no date", 4), ("E: item 2", 3)])
    assert found == [Alike("E: item 2", items=5, causes=2), Alike("F: no date", items=4, causes=1)]
