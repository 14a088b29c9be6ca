"""The rules of the circuit breaker: what opens it, what it excuses, and how it closes again."""

import math
from typing import Any

import pytest

from everyitem.engine.breaker import (
    AGAIN,
    EVIDENCE,
    FIRST_WAIT,
    MORE_EVIDENCE,
    MOST_WAIT,
    SPAN,
    Breaker,
    Standing,
)
from everyitem.engine.evidence import CONTRADICTED_FOR, CONTRADICTIONS
from everyitem.model.errors import ErrorCode
from everyitem.model.outcome import DATABASE, UNREACHABLE, Failure

SLOTS = 4


def refused(index: int, attempt: int = 1, **more: Any) -> Failure:
    """A failure as an outage causes it; of a family, unless it is of another class."""
    family = more.pop("family", "" if "type" in more else UNREACHABLE)
    type_ = more.pop("type", "ConnectionError")
    return Failure(index, attempt, ErrorCode.ITEM_ERROR, type_, "no", family=family, **more)


def out_of_time(index: int, attempt: int = 1) -> Failure:
    """The item ran out of its time, as when nothing answers."""
    return Failure(index, attempt, ErrorCode.TIMEOUT_ERROR, "ItemTimeout", "5 s", family=UNREACHABLE)


def bad(index: int, attempt: int = 1) -> Failure:
    """A failure the item is to blame for."""
    return refused(index, attempt, type="ValueError", innate=True)


def allowed(breaker: Breaker, at: float, leased: int = 0) -> int | None:
    """How many more items may begin."""
    return breaker.allowance(at, leased=leased, slots=SLOTS, unit=1)


def opened(at: float = 0.0) -> Breaker:
    """A breaker that has just opened."""
    breaker = Breaker()
    for index in range(EVIDENCE):
        breaker.failed(refused(index), at)
    assert breaker.standing is Standing.OPEN
    return breaker


def probe(breaker: Breaker) -> float:
    """Let the probe begin when it is due; returns when that was."""
    due = breaker.next_at()
    assert due is not None
    assert allowed(breaker, due - 0.001) == 0
    assert allowed(breaker, due) == 1
    breaker.probes()
    assert allowed(breaker, due) == 0
    return due


def test_it_opens_when_most_first_attempts_fail_alike() -> None:
    """Then nothing begins, and those that failed are told to wait and excused."""
    breaker = Breaker()
    waits = [breaker.failed(refused(index), 0.0) for index in range(EVIDENCE)]
    assert waits == [None] * (EVIDENCE - 1) + [FIRST_WAIT]
    assert allowed(breaker, 0.0) == 0
    assert breaker.excused() == list(range(EVIDENCE))
    assert (breaker.view.cause, breaker.view.named) == (UNREACHABLE, "ConnectionError")


def test_one_outage_may_show_in_many_words() -> None:
    """Refused, then reset, then silent: classes of one family count alike, and are all named."""
    breaker = Breaker()
    words = ["RemoteDisconnected", "ConnectionResetError", "ConnectTimeout"]
    for index in range(EVIDENCE - 1):
        breaker.failed(refused(index, type=words[index % 3], family=UNREACHABLE), 0.0)
    assert breaker.standing is Standing.CLOSED
    assert breaker.failed(out_of_time(9), 0.0) == FIRST_WAIT
    assert breaker.excused() == list(range(EVIDENCE))
    assert (
        breaker.view.named == "RemoteDisconnected, ConnectionResetError, ConnectTimeout or others like them"
    )


@pytest.mark.parametrize(
    "others",
    [
        {"type": "PriceMissing"},
        {"type": "ValueError", "innate": True},
        {"type": "OperationalError", "family": DATABASE},
        {"permanent": True, "family": UNREACHABLE},
    ],
    ids=["of no family", "data", "another family", "for good"],
)
def test_what_is_of_no_family_or_another_is_not_the_same_outage(others: dict[str, Any]) -> None:
    """Of ten that fail, seven by the connection: the other three speak against it, whatever they are."""
    breaker = Breaker()
    breaker.succeeded(0.0, 2 * EVIDENCE)
    for index in range(10 * EVIDENCE):
        breaker.failed(refused(index, **(others if index % 10 < 3 else {})), 0.0)
    assert breaker.standing is Standing.CLOSED


def test_two_classes_of_no_family_are_two_causes() -> None:
    """However many items fail: as long as neither class has most of them, it is the items."""
    breaker = Breaker()
    breaker.succeeded(0.0, 2 * EVIDENCE)
    for index in range(10 * EVIDENCE):
        breaker.failed(refused(index, type=["PriceMissing", "RateMissing"][index % 2]), 0.0)
    assert breaker.standing is Standing.CLOSED


def test_a_probe_may_fail_in_another_word() -> None:
    """It is the same outage all the same: excused, and asked again later."""
    breaker = opened()
    due = probe(breaker)
    assert breaker.failed(refused(99, type="ConnectTimeout", family=UNREACHABLE), due) == FIRST_WAIT
    assert breaker.next_at() == due + 2 * FIRST_WAIT


def test_what_databases_say_of_themselves_is_believed_once_most_has_succeeded() -> None:
    """Before, it may as well be the statement: `no such table` is an OperationalError, too."""
    words = ["AdminShutdown", "OperationalError"]
    new, used = Breaker(), Breaker()
    used.succeeded(0.0, 2 * EVIDENCE)
    for breaker in (new, used):
        for index in range(EVIDENCE):
            breaker.failed(refused(index, type=words[index % 2], family=DATABASE), 0.0)
    assert (new.standing, used.standing) == (Standing.CLOSED, Standing.OPEN)
    assert used.view.named == "AdminShutdown or OperationalError"


def test_it_stays_closed_while_enough_succeeds() -> None:
    """Half of the items that fail are for retries, not for the breaker."""
    breaker = Breaker()
    for index in range(1000):
        if index % 2:
            breaker.failed(refused(index), 0.0)
        else:
            breaker.succeeded(0.0, 1)
    assert breaker.standing is Standing.CLOSED


@pytest.mark.parametrize(
    "harmless",
    [
        {"innate": True},
        {"permanent": True},
        {"retry_after": 1.0},
        {"alone": True},
        {"type": "UnusableResult"},
        {"attempt": 2},
    ],
    ids=lambda more: next(iter(more)),
)
def test_what_speaks_of_the_item_is_no_outage(harmless: dict[str, Any]) -> None:
    """Wrong input, wrong code, dead workers, items that ask to wait and later attempts open nothing."""
    breaker = Breaker()
    breaker.succeeded(0.0, 2 * EVIDENCE)
    for index in range(10 * EVIDENCE):
        assert breaker.failed(refused(index, **harmless), 0.0) is None
    assert breaker.standing is Standing.CLOSED


@pytest.mark.parametrize("well", [0, 1, 4])
def test_code_that_never_mostly_worked_is_no_outage(well: int) -> None:
    """Most items may be bad: unless the errors are those of connections, half must have succeeded before."""
    breaker = Breaker()
    for index in range(10 * EVIDENCE):
        if index % 10 < well:
            breaker.succeeded(0.0, 1)
        else:
            breaker.failed(refused(index, type="ServerSaysNo"), 0.0)
    assert breaker.standing is Standing.CLOSED


def test_what_mostly_worked_and_then_fails_in_one_word_is_an_outage() -> None:
    """Whatever the word is: something has changed, and not with the items."""
    breaker = Breaker()
    breaker.succeeded(0.0, 2 * EVIDENCE)
    for index in range(EVIDENCE):
        breaker.failed(refused(index, type="ServerSaysNo"), 0.0)
    assert breaker.standing is Standing.OPEN


def convict(breaker: Breaker, well: int, bad: int) -> None:
    """So many items have succeeded, and so many failed for good, each after the last of its attempts."""
    for index in range(well):
        breaker.succeeded(0.0, 1)
        if index < bad:
            breaker.failed(refused(index), 0.0)
            breaker.gave_up(refused(index, attempt=4))


def test_what_half_of_the_items_fail_for_good_by_is_no_outage() -> None:
    """However many of them come one after the other."""
    breaker = Breaker()
    convict(breaker, 50, 50)
    for index in range(10 * EVIDENCE):
        breaker.failed(refused(index), 0.0)
    assert breaker.standing is Standing.CLOSED


def test_where_items_fail_for_good_now_and_then_more_evidence_is_asked_for() -> None:
    """Ten that fail one after the other happen by chance where every third is bad; forty do not."""
    breaker = Breaker()
    convict(breaker, 60, 30)
    for index in range(MORE_EVIDENCE - EVIDENCE):
        breaker.failed(refused(index), 0.0)
    assert breaker.standing is Standing.CLOSED
    for index in range(EVIDENCE):
        breaker.failed(refused(index), 0.0)
    assert breaker.standing is Standing.OPEN


def test_where_there_are_no_retries_what_fails_for_good_proves_nothing() -> None:
    """Then an outage itself makes items fail for good, until it is noticed."""
    breaker = Breaker()
    breaker.succeeded(0.0, 2)
    for index in range(EVIDENCE):
        breaker.gave_up(refused(index))
        breaker.failed(refused(index), 0.0)
    assert breaker.standing is Standing.OPEN


def test_old_evidence_is_no_evidence() -> None:
    """Only what fails in a short time is an outage."""
    breaker = Breaker()
    for index in range(10 * EVIDENCE):
        breaker.failed(refused(index), index * SPAN / (EVIDENCE - 2))
    assert breaker.standing is Standing.CLOSED


def test_one_call_probes_at_a_time_and_waits_get_longer() -> None:
    """An outage is asked seldom, but never left for long after its end."""
    breaker = opened()
    before, waits = 0.0, []
    for _ in range(5):
        due = probe(breaker)
        waits.append(due - before)
        breaker.failed(refused(99), due)
        before = due
    assert waits == [FIRST_WAIT, 2.0, 4.0, MOST_WAIT, MOST_WAIT]


def test_a_probe_that_succeeds_lets_more_and_more_begin() -> None:
    """The dependency is not overrun by everything that waited; then all is as before."""
    breaker = opened()
    due = probe(breaker)
    breaker.succeeded(due, 1)
    assert breaker.standing is Standing.HALF_OPEN
    assert allowed(breaker, due) == 2
    breaker.succeeded(due, 1)
    assert allowed(breaker, due, leased=1) == 2
    breaker.succeeded(due, 1)
    assert allowed(breaker, due) is None
    assert breaker.standing is Standing.CLOSED


def test_it_opens_again_when_the_dependency_is_not_well_yet() -> None:
    """Half open, a few failures in a row without a success are enough, and they are excused."""
    breaker = opened()
    due = probe(breaker)
    breaker.succeeded(due, 1)
    assert [breaker.failed(refused(index), due) for index in range(AGAIN)] == [FIRST_WAIT] * AGAIN
    assert breaker.standing is Standing.OPEN
    assert allowed(breaker, due) == 0


def test_a_probe_that_fails_otherwise_says_nothing() -> None:
    """A bad item as the probe neither proves nor disproves the outage: another one is asked."""
    breaker = opened()
    due = probe(breaker)
    assert breaker.failed(bad(7), due) is None
    assert breaker.standing is Standing.OPEN
    assert breaker.next_at() == due + FIRST_WAIT


def test_a_probe_that_never_ended_is_none() -> None:
    """When it was given back, the next one follows."""
    breaker = opened()
    due = probe(breaker)
    breaker.nothing_runs(due + 3.0)
    assert breaker.next_at() == due + 3.0 + FIRST_WAIT


def test_false_alarms_make_it_slower_to_believe_the_next() -> None:
    """Where the very first probe succeeds it may have been the items: twice the evidence is asked for."""
    breaker = opened()
    breaker.succeeded(probe(breaker), SLOTS)
    assert allowed(breaker, 2.0) is None
    for index in range(2 * EVIDENCE - 1):
        breaker.failed(refused(index), 2.0)
    assert breaker.standing is Standing.CLOSED
    breaker.failed(refused(99), 2.0)
    assert breaker.standing is Standing.OPEN
    assert breaker.view.openings == 2


def test_how_long_nothing_has_succeeded_is_counted_from_the_last_success_or_pause() -> None:
    """Only for as long as it is not closed: before that, retries are what bounds a failing dependency."""
    assert Breaker().idle_since == math.inf
    breaker = opened(at=10.0)
    assert breaker.idle_since == pytest.approx(10.0)
    breaker.goes_on(50.0)
    assert breaker.idle_since == 50.0
    due = probe(breaker)
    breaker.succeeded(due + 60.0, 1)
    assert breaker.idle_since == due + 60.0


def fail_again(breaker: Breaker, at: float, witness: int | None = None) -> float | None:
    """A probe by item 3, which was excused, fails; before it one by another item may have succeeded."""
    if witness is not None:
        breaker.acquit(witness)
    breaker.probes()
    return breaker.failed(refused(3), at)


def test_items_that_fail_while_others_succeed_are_bad_in_the_end() -> None:
    """Excused for half an hour, while others succeed and none of them ever does: then no more."""
    breaker = opened()
    for turn in range(CONTRADICTIONS):
        assert fail_again(breaker, 10.0 + turn, witness=1000 + turn) == FIRST_WAIT
    assert fail_again(breaker, 10.0 + CONTRADICTED_FOR - 1) == FIRST_WAIT
    assert fail_again(breaker, 10.0 + CONTRADICTED_FOR) is None
    assert breaker.standing is Standing.CLOSED
    for index in range(MORE_EVIDENCE):
        assert breaker.failed(refused(index), 10.0 + CONTRADICTED_FOR) is None


def test_one_of_them_that_succeeds_speaks_for_all_of_them() -> None:
    """It was an outage, then: a dependency that answers only now and then is waited for."""
    breaker = opened()
    for turn in range(CONTRADICTIONS):
        fail_again(breaker, 10.0 + turn, witness=1000 + turn)
    breaker.acquit(4)
    assert fail_again(breaker, 10.0 + CONTRADICTED_FOR) == FIRST_WAIT
    assert breaker.standing is Standing.OPEN


def test_an_outage_in_which_nothing_succeeds_is_believed_for_ever() -> None:
    """How long it may last is the batch timeout's to say, or `outagePatienceSeconds`."""
    breaker = opened()
    fail_again(breaker, 5.0, witness=1000)
    for turn in range(1, 100):
        assert fail_again(breaker, turn * CONTRADICTED_FOR) == FIRST_WAIT
