"""What attempts say for and against an outage: windows, shares and alibis."""

from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everyitem.engine.evidence import (
    CONTRADICTED_FOR,
    CONTRADICTIONS,
    MEMORY,
    WELL,
    Alibis,
    Evidence,
    Shares,
)

#: What happens: so many successes, or one failure by a cause (empty: it speaks against any outage).
HAPPENINGS = st.lists(st.one_of(st.integers(1, 30), st.sampled_from(["", "away", "other"])), max_size=60)


@given(HAPPENINGS, st.integers(1, 12))
def test_the_latest_count_and_the_others_are_before_them(happenings: list[int | str], needed: int) -> None:
    """Window and past together are everything that was told, in its order."""
    evidence = Evidence(needed, Shares())
    for index, one in enumerate(happenings):
        if isinstance(one, int):
            evidence.add(0.0, "", count=one)
        else:
            evidence.add(0.0, one, index, "Error")
    told = list(chain.from_iterable([WELL] * one if isinstance(one, int) else [one] for one in happenings))
    latest, before = told[-needed:], told[:-needed]
    for cause in ("away", "other"):
        full = latest.count(cause) / needed if len(told) >= needed else 0.0
        assert evidence.share(cause, since=0.0) == pytest.approx(full)
        assert evidence.before.count(cause) == before.count(cause)
        assert len(evidence.items(cause)) == latest.count(cause)
    assert evidence.before.count(WELL) == before.count(WELL)
    assert evidence.before.total == len(before)


def test_who_asks_for_less_keeps_the_latest_and_who_asks_for_more_has_to_wait() -> None:
    """The number may change at any time."""
    evidence = Evidence(4, Shares())
    for index, cause in enumerate(["other", "other", "away", "away"]):
        evidence.add(0.0, cause, index, "Error")
    evidence.need(2)
    assert evidence.share("away", since=0.0) == 1.0
    evidence.need(4)
    assert evidence.share("away", since=0.0) == 0.0


@given(st.lists(st.tuples(st.sampled_from([WELL, "a", "b"]), st.integers(1, 5_000)), max_size=40))
def test_shares_are_of_the_latest_thousand_or_so(told: list[tuple[str, int]]) -> None:
    """However much is told, what is kept stays small, and the parts make a whole."""
    shares = Shares()
    for what, count in told:
        shares.add(what, count)
    assert shares.total <= 2 * MEMORY
    assert shares.total == sum(map(shares.count, [WELL, "a", "b"]))
    if shares.total:
        assert sum(map(shares.of, [WELL, "a", "b"])) == pytest.approx(1.0)


def test_causes_that_come_once_each_are_forgotten() -> None:
    """Somebody makes classes by the item."""
    shares = Shares()
    for number in range(100_000):
        shares.add(f"Error{number}")
    assert len(shares._counts) <= 2 * MEMORY


def test_one_witness_contradicts_once() -> None:
    """One success, and then an outage of hours in which all of them fail again: that contradicts nothing."""
    alibis = Alibis()
    for index in range(10):
        alibis.excuse(index)
    alibis.succeeded(1000)
    for turn in range(1, 50):
        assert not alibis.are_false(turn % 10, turn * CONTRADICTED_FOR)


def test_only_who_was_excused_before_can_contradict() -> None:
    """An item that fails for the first time may be what an outage has just begun with."""
    alibis = Alibis()
    for turn in range(1, 5 * CONTRADICTIONS):
        alibis.succeeded(1000 + turn)
        assert not alibis.are_false(turn, turn * CONTRADICTED_FOR)
        alibis.excuse(turn)


def test_alibis_that_were_false_are_gone() -> None:
    """And it is told how many there were."""
    alibis = Alibis()
    for turn in range(CONTRADICTIONS):
        alibis.excuse(turn)
        alibis.excuse(7)
        alibis.succeeded(1000)
        alibis.are_false(7, float(turn))
    assert alibis.are_false(7, CONTRADICTED_FOR)
    assert alibis.withdraw() == CONTRADICTIONS + 1
    assert not alibis.are_false(7, 2 * CONTRADICTED_FOR)
