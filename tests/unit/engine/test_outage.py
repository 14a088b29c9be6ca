"""A dependency is away for a minute in the middle of a batch: what it costs, in virtual time."""

import functools
import random
from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.engine.virtual_batch import VirtualBatch

from everyitem.engine.evidence import CONTRADICTED_FOR
from everyitem.engine.ledger import Mark
from everyitem.engine.messages import Ending
from everyitem.model.errors import ErrorCode
from everyitem.model.outcome import UNREACHABLE, Failure

#: Seconds of a call while all is well, and of the outage: from when to when.
CALL = 0.4
AWAY, BACK = 40.0, 100.0
ITEMS, SLOTS = 2_800, 5
#: Seconds a batch may take longer (issue 7).
LONGER = 75.0

#: What calls of an item come to during the outage.
Outage = Callable[[int, int], tuple[float, Failure]]


def failed(index: int, attempt: int, type_: str, **more: Any) -> Failure:
    """An attempt that raised."""
    return Failure(index, attempt, ErrorCode.ITEM_ERROR, type_, "no", **more)


def refused(index: int, attempt: int) -> tuple[float, Failure]:
    """The connection is refused at once."""
    return 0.001, failed(index, attempt, "ConnectionRefusedError", family=UNREACHABLE)


def hangs(index: int, attempt: int) -> tuple[float, Failure]:
    """Nothing answers, and the time of the item runs out."""
    return 5.0, Failure(index, attempt, ErrorCode.TIMEOUT_ERROR, "ItemTimeout", "5 s", family=UNREACHABLE)


#: One outage: the connections there were are reset, new ones are refused, or nobody answers.
WORDS = ["RemoteDisconnected", "ConnectionResetError", "ConnectTimeout"]


def in_many_words(index: int, attempt: int) -> tuple[float, Failure]:
    """Each item learns in another way that there is nobody."""
    return 0.2, failed(index, attempt, WORDS[(index + attempt) % len(WORDS)], family=UNREACHABLE)


def server_error(index: int, attempt: int) -> tuple[float, Failure]:
    """Somebody answers, that it is no use."""
    return 0.2, failed(index, attempt, "HTTPStatusError")


def says_when(index: int, attempt: int) -> tuple[float, Failure]:
    """Somebody answers, and says when to come again."""
    return 0.2, failed(index, attempt, "RetryLater", retry_after=10.0)


@functools.cache
def run(outage: Outage | None, *, most: int | None) -> VirtualBatch:
    """The batch with or without an outage."""

    def call(at: float, index: int, attempt: int) -> tuple[float, Failure | None]:
        if outage is not None and AWAY <= at < BACK:
            return outage(index, attempt)
        return CALL, None

    return VirtualBatch(ITEMS, call, slots=SLOTS, most=most).run()


@pytest.mark.parametrize("most", [None, 8], ids=["fixed", "found"])
@pytest.mark.parametrize("outage", [refused, hangs, in_many_words, server_error, says_when])
def test_a_minute_without_a_dependency_fails_nothing_and_costs_little_more(
    outage: Outage, most: int | None
) -> None:
    """0 items failed by it, at most 75 s longer."""
    undisturbed, disturbed = run(None, most=most), run(outage, most=most)
    assert undisturbed.now > BACK, "the batch was over before the outage was"
    assert disturbed.verdict is not None and disturbed.verdict.ending is Ending.COMPLETED
    assert not disturbed.state.ledger.runs(Mark.FAILED)
    assert disturbed.now - undisturbed.now <= LONGER


@pytest.mark.parametrize("slots", [1, SLOTS, 20])
@pytest.mark.parametrize("items", [20, 100, 1_000])
def test_an_outage_in_many_words_fails_nothing_however_small_the_batch(items: int, slots: int) -> None:
    """Nobody is there from the start for a minute, in three words: none of them alone makes eight of ten."""

    def call(at: float, index: int, attempt: int) -> tuple[float, Failure | None]:
        return in_many_words(index, attempt) if at < 60.0 else (CALL, None)

    batch = VirtualBatch(items, call, slots=slots).run()
    assert batch.verdict is not None and batch.verdict.ending is Ending.COMPLETED
    assert not batch.state.ledger.runs(Mark.FAILED)
    assert batch.state.accounting.retried < 10  # only who was first, before it was noticed


@pytest.mark.parametrize("items", [20, 100, 1_000])
def test_data_errors_of_two_classes_end_the_batch_and_do_not_hold_it_up(items: int) -> None:
    """Every item is bad, in one way or another: that is no outage, and they fail within their retries."""

    def call(at: float, index: int, attempt: int) -> tuple[float, Failure | None]:
        return 0.01, failed(index, attempt, ["KeyError", "ValueError"][index % 2], innate=True)

    batch = VirtualBatch(items, call, slots=SLOTS).run()
    assert batch.verdict is not None and batch.verdict.ending is Ending.COMPLETED
    assert batch.state.pacing.breaker.openings == 0
    assert batch.state.ledger.failed == items


@pytest.mark.parametrize("share", [0.3, 0.5, 0.8, 0.95, 1.0])
@pytest.mark.parametrize("items", [100, 1_000])
def test_bad_items_of_a_class_nobody_knows_do_not_hold_the_batch_up(items: int, share: float) -> None:
    """They all fail for good, as soon as without a breaker; a few times ten of them come in a row."""
    chance = random.Random(3)
    bad = {index for index in range(items) if chance.random() < share}

    def call(at: float, index: int, attempt: int) -> tuple[float, Failure | None]:
        return 0.1, failed(index, attempt, "ApiError") if index in bad else None

    batch = VirtualBatch(items, call, slots=SLOTS).run()
    assert batch.verdict is not None and batch.verdict.ending is Ending.COMPLETED
    assert batch.state.ledger.failed == len(bad)
    assert batch.now < 300.0


def test_hosts_that_are_dead_are_given_up_where_others_answer() -> None:
    """Nine of ten cannot be reached, which looks like an outage; half an hour later it does not any more."""
    chance = random.Random(3)
    dead = {index for index in range(1_000) if chance.random() < 0.9}

    def call(at: float, index: int, attempt: int) -> tuple[float, Failure | None]:
        return 0.1, failed(index, attempt, "gaierror", family=UNREACHABLE) if index in dead else None

    batch = VirtualBatch(1_000, call, slots=SLOTS).run()
    assert batch.verdict is not None and batch.verdict.ending is Ending.COMPLETED
    assert batch.state.ledger.failed == len(dead)
    assert CONTRADICTED_FOR < batch.now < 1.5 * CONTRADICTED_FOR


@pytest.mark.parametrize("share", [0.8, 0.95])
def test_a_dependency_that_answers_now_and_then_is_waited_for(share: float) -> None:
    """For half an hour most calls fail, whatever the item: who was excused succeeds now and then, too."""
    chance = random.Random(3)

    def call(at: float, index: int, attempt: int) -> tuple[float, Failure | None]:
        if 10.0 <= at < 10.0 + CONTRADICTED_FOR and chance.random() < share:
            return in_many_words(index, attempt)
        return CALL, None

    batch = VirtualBatch(ITEMS, call, slots=SLOTS).run()
    assert batch.verdict is not None and batch.verdict.ending is Ending.COMPLETED
    assert batch.state.ledger.failed == 0


@pytest.mark.parametrize("bad", [1, 3])
def test_an_outage_among_bad_items_takes_only_those(bad: int) -> None:
    """One or three of ten never succeed, in the very words of the outage that comes for a minute."""

    def call(at: float, index: int, attempt: int) -> tuple[float, Failure | None]:
        if index % 10 < bad or AWAY <= at < BACK:
            return in_many_words(index, attempt)
        return CALL, None

    batch = VirtualBatch(2_000, call, slots=SLOTS).run()
    assert batch.verdict is not None and batch.verdict.ending is Ending.COMPLETED
    assert batch.state.ledger.failed == 200 * bad


@pytest.mark.parametrize("share", [3, 5, 10])
def test_bad_items_fail_for_good_beside_an_outage(share: int) -> None:
    """One item in `share` never succeeds: it fails, by its own fault, before, during or after the outage."""

    def call(at: float, index: int, attempt: int) -> tuple[float, Failure | None]:
        if index % share == 0:
            return 0.01, failed(index, attempt, "PermanentItemError", permanent=True)
        return in_many_words(index, attempt) if 5.0 <= at < 65.0 else (CALL, None)

    batch = VirtualBatch(1_000, call, slots=SLOTS).run()
    assert batch.verdict is not None and batch.verdict.ending is Ending.COMPLETED
    bad = {index for first, stop in batch.state.ledger.runs(Mark.FAILED) for index in range(first, stop)}
    assert bad == set(range(0, 1_000, share))


def never_comes_back(at: float, index: int, attempt: int) -> tuple[float, Failure | None]:
    """From `AWAY` on there is nobody."""
    return refused(index, attempt) if at >= AWAY else (CALL, None)


def test_an_outage_is_waited_for_no_longer_than_asked_for() -> None:
    """The run ends with the cause and can be resumed: no item has failed, and no retry is used up."""
    batch = VirtualBatch(ITEMS, never_comes_back, slots=SLOTS, outage_patience=600.0).run()
    assert batch.verdict is not None
    assert batch.verdict.ending is Ending.OUT_OF_RESOURCES
    assert batch.verdict.code is ErrorCode.RESOURCE_ERROR
    assert "outagePatienceSeconds" in batch.verdict.message
    assert "ConnectionRefusedError" in batch.verdict.message
    assert AWAY + 600.0 <= batch.now <= AWAY + 610.0
    assert batch.state.ledger.runs(Mark.FAILED) == []
    assert batch.state.accounting.retried == 0


def test_without_such_a_bound_only_the_batch_timeout_ends_it() -> None:
    """That is what the contract promises; an hour is nothing to it."""

    def back_after_an_hour(at: float, index: int, attempt: int) -> tuple[float, Failure | None]:
        return refused(index, attempt) if AWAY <= at < 3_600.0 else (CALL, None)

    batch = VirtualBatch(ITEMS, back_after_an_hour, slots=SLOTS).run()
    assert batch.verdict is not None and batch.verdict.ending is Ending.COMPLETED
    assert batch.now > 3_600.0


def test_who_succeeds_now_and_then_is_waited_for() -> None:
    """The breaker may open again and again: what counts is that something still succeeds."""

    def mostly_away(at: float, index: int, attempt: int) -> tuple[float, Failure | None]:
        return refused(index, attempt) if AWAY <= at < 400.0 and at % 40.0 > 10.0 else (CALL, None)

    batch = VirtualBatch(ITEMS, mostly_away, slots=SLOTS, outage_patience=60.0).run()
    assert batch.verdict is not None and batch.verdict.ending is Ending.COMPLETED
