"""What a run does about items that may have killed the coordinator of an earlier one."""

from tests.unit.engine.driver import Driver, failure, leases, successes

from everyitem.engine.messages import Ending, TimePassed
from everyitem.engine.retries import PendingAttempt
from everyitem.model.configuration import ErrorStrategy
from everyitem.model.errors import ErrorCode
from everyitem.model.outcome import OutcomeBlock
from everyitem.ports.started import DEATHS, Suspect, Suspicion


def suspicion(*indices: int, together: int = 1) -> Suspicion:
    return Suspicion([Suspect(index) for index in indices], together)


def test_suspects_run_one_at_a_time_and_before_anything_else() -> None:
    """While a suspect runs in this process nothing else does, on no slot and on no other node."""
    driver = Driver(10, nodes=(("n", 4), ("m", 4)), suspicion=suspicion(7, 3))
    (first,) = driver.join(slots=4, shared=True)
    assert tuple(first.indices) == (7,)
    assert driver.join("m/1", "m", 4, shared=True) == []
    (second,) = driver.finish(first, successes([7]))
    assert tuple(second.indices) == (3,)
    fresh = driver.finish(second, successes([3]))
    assert sorted(index for lease in fresh for index in lease.indices) == [0, 1, 2, 4, 5, 6, 8, 9]


def test_many_suspects_run_a_few_at_a_time() -> None:
    """A thousand waiting coroutines must not become a queue; still nothing else runs beside them."""
    driver = Driver(10, nodes=(("n", 8),), suspicion=suspicion(0, 1, 2, 3, together=2))
    first, second = driver.join(slots=8, shared=True)
    assert [tuple(first.indices), tuple(second.indices)] == [(0,), (1,)]
    (third,) = driver.finish(first, successes([0]))
    assert tuple(third.indices) == (2,)


def test_where_there_is_a_process_node_suspects_run_there_beside_everything_else() -> None:
    """There they can kill their worker only."""
    driver = Driver(10, nodes=(("n", 4), ("p", 1)), isolating=["p"], suspicion=suspicion(3))
    fresh = driver.join(slots=4, shared=True)
    assert fresh
    assert all(3 not in lease.indices for lease in fresh)
    (suspect,) = driver.join("p/1", "p")
    assert tuple(suspect.indices) == (3,)


def test_a_suspect_keeps_the_attempts_it_has_used_up() -> None:
    """The crash cost it none and gives it none back."""
    driver = Driver(3, pending=[PendingAttempt(1, 2)], suspicion=suspicion(1))
    (lease,) = driver.join()
    assert (tuple(lease.indices), lease.attempt) == ((1,), 3)


def test_a_suspect_that_merely_fails_is_retried_like_any_other_item() -> None:
    """It has ended without ending anybody else."""
    driver = Driver(1, suspicion=suspicion(0))
    (lease,) = driver.join()
    assert driver.finish(lease, failure(0)) == []
    driver.now = driver.wake_at or 0.0
    (again,) = leases(driver.tell(TimePassed(driver.now)))
    assert again.attempt == 2
    assert not driver.state.retries.has_alone


def test_a_suspect_given_back_unstarted_stays_one() -> None:
    """A pause or a revocation proves nothing."""
    driver = Driver(2, suspicion=suspicion(0))
    (lease,) = driver.join()
    (again,) = driver.finish(lease, OutcomeBlock([], []))
    assert tuple(again.indices) == (0,)


def test_who_killed_three_coordinators_is_quarantined_and_saved_at_once() -> None:
    """A failure with the count in it, in the first checkpoint of the run, and no fourth death."""
    driver = Driver(3, suspicion=Suspicion([Suspect(1, DEATHS)]), pending=[PendingAttempt(1, 1)])
    assert driver.join() == []
    (lease,) = leases(driver.confirm_saves())
    assert 1 not in lease.indices
    (segment,) = driver.saves[0].segments
    (quarantined,) = segment.failures
    assert (quarantined.index, quarantined.attempt, quarantined.code) == (1, 2, ErrorCode.SYSTEM_ERROR)
    assert quarantined.final
    assert "3 times" in quarantined.message


def test_nothing_begins_before_a_quarantine_is_on_disk() -> None:
    """The next suspect may kill the process at once: what was found out must not be lost with it."""
    driver = Driver(3, suspicion=Suspicion([Suspect(1, DEATHS), Suspect(2)]))
    assert driver.join() == []
    assert driver.saves[-1].is_urgent
    (lease,) = leases(driver.confirm_saves())
    assert tuple(lease.indices) == (2,)


def test_without_checkpoints_a_quarantine_is_waited_for_by_nobody() -> None:
    """It is saved at the end, as everything is then."""
    driver = Driver(2, suspicion=Suspicion([Suspect(1, DEATHS)]), enable_checkpointing=False)
    (lease,) = driver.join()
    assert tuple(lease.indices) == (0,)


def test_two_deaths_are_not_enough() -> None:
    """It gets its third lone run."""
    driver = Driver(3, suspicion=Suspicion([Suspect(1, DEATHS - 1)]))
    (lease,) = driver.join()
    assert tuple(lease.indices) == (1,)


def test_a_quarantined_item_counts_as_a_failure_for_the_error_strategy() -> None:
    """FAIL_FAST stops at it before anything runs."""
    driver = Driver(
        3, suspicion=Suspicion([Suspect(1, DEATHS), Suspect(2, DEATHS)]), strategy=ErrorStrategy.FAIL_FAST
    )
    driver.tell(TimePassed(0.0))
    driver.confirm_saves()
    assert driver.verdict is not None
    assert driver.verdict.ending is Ending.FAILED_FAST
    assert driver.state.ledger.failed == 1
