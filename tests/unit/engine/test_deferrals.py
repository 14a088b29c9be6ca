"""Deferred items, as the state machine sees them: the slot is free, the item open, the event counts once."""

from typing import Any

from tests.unit.engine.driver import Driver, failure, leases, successes

from everyitem.engine.deferrals import OpenDeferral
from everyitem.engine.messages import Ending, EventsHeard, PauseAsked, ResumeAsked, SaveCheckpoint, TimePassed
from everyitem.model.configuration import ErrorStrategy
from everyitem.model.outcome import OutcomeBlock
from everyitem.model.retry import RetryPolicy
from everyitem.ports.completions import Completion, ToldFailure
from everyitem.ports.deferral import DeferralChange

ONE_RETRY = RetryPolicy(max_retries=1, initial_delay=0.0)


def deferred(index: int, attempt: int = 1, timeout: float = 10.0) -> OutcomeBlock:
    return failure(index, attempt, deferred=timeout)


def heard(driver: Driver, *told: Completion, up_to: float | None = None) -> list[Any]:
    """The store was asked for events just now."""
    return driver.tell(EventsHeard(driver.now, told, driver.now if up_to is None else up_to))


def success(index: int, attempt: int = 1) -> Completion:
    return Completion(1, index, attempt, result=b"%d" % index)


def deferral_changes(driver: Driver) -> list[DeferralChange]:
    return [change for save in driver.saves for change in save.deferrals]


def test_a_deferred_item_frees_its_slot_and_stays_open() -> None:
    """The next item is leased at once; the batch waits for the event."""
    driver = Driver(2, retry=ONE_RETRY)
    (first,) = driver.join()
    assert list(first.indices) == [0]
    (second,) = driver.finish(first, deferred(0))
    driver.finish(second, successes([1]))
    driver.confirm_saves()
    assert driver.verdict is None
    assert (driver.state.ledger.deferred, driver.state.ledger.open, driver.state.dealer.in_flight) == (
        1,
        1,
        0,
    )
    heard(driver, success(0))
    driver.confirm_saves()
    assert driver.verdict is not None and driver.verdict.ending is Ending.COMPLETED
    assert driver.state.ledger.succeeded == 2


def test_a_deferral_is_saved_at_once_and_goes_with_the_outcome() -> None:
    """Whatever the checkpoint interval: until it is on disk its event finds nothing to complete."""
    driver = Driver(1, checkpoint_interval=1000)
    (lease,) = driver.join()
    driver.finish(lease, deferred(0))
    (begun,) = deferral_changes(driver)
    assert (begun.index, begun.attempt, begun.due) == (0, 1, 10.0)
    driver.confirm_saves()
    heard(driver, success(0))
    save = driver.saves[-1]
    assert [(one.index, one.due) for one in save.deferrals] == [(0, None)]
    assert sum(segment.succeeded for segment in save.segments) == 1


def test_the_same_event_again_changes_nothing() -> None:
    """The store may hand it over twice, and a late one may be about an attempt that is over."""
    driver = Driver(1)
    (lease,) = driver.join()
    driver.finish(lease, deferred(0))
    driver.confirm_saves()
    heard(driver, success(0), success(0))
    heard(driver, success(0))
    driver.confirm_saves()
    assert driver.state.ledger.succeeded == 1
    assert driver.verdict is not None and driver.verdict.ending is Ending.COMPLETED


def test_without_its_event_an_attempt_times_out_and_is_retried() -> None:
    """And a late event of the first attempt does not complete the second."""
    driver = Driver(1, retry=ONE_RETRY)
    (lease,) = driver.join()
    driver.finish(lease, deferred(0))
    driver.confirm_saves()
    driver.now = 9.0
    assert not leases(heard(driver))
    driver.now = 10.0
    commands = heard(driver)
    driver.now = 11.0
    (again,) = leases([*commands, *driver.confirm_saves(), *driver.tell(TimePassed(driver.now))])
    assert again.attempt == 2
    driver.finish(again, deferred(0, attempt=2))
    driver.confirm_saves()
    heard(driver, success(0, attempt=1))
    assert driver.state.ledger.deferred == 1
    driver.now = 30.0
    heard(driver)
    driver.confirm_saves()
    assert driver.state.ledger.failed == 1
    (final,) = [one for save in driver.saves for part in save.segments for one in part.failures if one.final]
    assert (final.code, final.type, final.attempt) == ("TIMEOUT_ERROR", "DeferralTimeout", 2)


def test_time_runs_out_only_when_the_store_was_asked_after_it() -> None:
    """An event that came in time counts, however long the store was out of reach."""
    driver = Driver(1)
    (lease,) = driver.join()
    driver.finish(lease, deferred(0, timeout=1.0))
    driver.confirm_saves()
    driver.now = 500.0
    driver.tell(TimePassed(driver.now))
    heard(driver, up_to=0.5)
    assert driver.state.ledger.deferred == 1
    heard(driver, success(0))
    assert driver.state.ledger.succeeded == 1


def test_an_event_may_tell_of_a_failure() -> None:
    """Final, unless it says that the item may be tried again."""
    driver = Driver(2, retry=ONE_RETRY)
    (first,) = driver.join()
    (second,) = driver.finish(first, deferred(0))
    driver.finish(second, deferred(1))
    driver.confirm_saves()
    no = ToldFailure("ITEM_ERROR", "Declined", "no cover")
    busy = ToldFailure("SYSTEM_ERROR", "Busy", "come back", retryable=True)
    commands = heard(driver, Completion(1, 0, 1, failure=no), Completion(2, 1, 1, failure=busy))
    (again,) = leases([*commands, *driver.tell(TimePassed(driver.now))])
    assert (list(again.indices), again.attempt) == ([1], 2)
    assert (driver.state.ledger.failed, driver.state.ledger.deferred) == (1, 0)


def test_a_deferral_found_on_disk_waits_for_the_rest_of_its_time() -> None:
    """Its item is not called again by the run that finds it."""
    driver = Driver(2, deferred=[OpenDeferral(0, 1, due=5.0, duration_us=7)])
    (lease,) = driver.join()
    assert list(lease.indices) == [1]
    driver.finish(lease, successes([1]))
    heard(driver, success(0))
    driver.confirm_saves()
    assert driver.verdict is not None and driver.verdict.ending is Ending.COMPLETED
    assert driver.state.accounting.busy_us == 1007


def test_in_a_pause_events_count_and_nothing_runs_out_of_time() -> None:
    """What would follow could not be done before somebody resumes."""
    driver = Driver(2, retry=ONE_RETRY)
    (first,) = driver.join()
    (second,) = driver.finish(first, deferred(0))
    driver.finish(second, deferred(1))
    driver.confirm_saves()
    driver.tell(PauseAsked(driver.now))
    driver.now = 60.0
    heard(driver, success(1))
    assert (driver.state.ledger.succeeded, driver.state.ledger.deferred) == (1, 1)
    driver.tell(ResumeAsked(driver.now))
    heard(driver)
    assert driver.state.ledger.deferred == 0


def test_under_at_most_once_a_deferred_item_is_not_in_doubt() -> None:
    """Its call came to its end; when its time is over its fate is unknown."""
    driver = Driver(1, at_most_once=True, retry=ONE_RETRY)
    driver.join()
    (lease,) = leases(driver.confirm_saves())
    driver.finish(lease, deferred(0))
    assert driver.saves[-1].intents_cleared == [0]
    driver.confirm_saves()
    driver.now = 20.0
    heard(driver)
    assert (driver.state.ledger.in_doubt, driver.state.ledger.deferred) == (1, 0)
    saved = [command for command in driver.commands if isinstance(command, SaveCheckpoint)][-1]
    assert [(one.index, one.due) for one in saved.deferrals] == [(0, None)]


def test_who_runs_out_of_time_when_the_batch_is_decided_stays_deferred() -> None:
    """Its attempt counts, so it is not called again under its number; the next run asks for its event."""
    driver = Driver(
        2,
        strategy=ErrorStrategy.FAIL_FAST,
        retry=RetryPolicy(max_retries=0),
        deferred=[OpenDeferral(0, 1, due=1.0), OpenDeferral(1, 1, due=1.0)],
    )
    driver.now = 2.0
    told = ToldFailure("ITEM_ERROR", "Boom", "boom")
    heard(driver, Completion(1, 0, 1, failure=told))
    driver.confirm_saves()
    assert driver.verdict is not None and driver.verdict.ending is Ending.FAILED_FAST
    assert (driver.state.ledger.failed, driver.state.ledger.deferred) == (1, 1)
    assert not [change for change in deferral_changes(driver) if change.index == 1]
