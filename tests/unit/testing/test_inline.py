"""The kit users test their item processors with."""

import math

import pytest

from everyitem.model.errors import PermanentItemError, RetryLater, UsageError
from everyitem.model.retry import RetryPolicy
from everyitem.testing import FakeClock, FlakyError, flaky, run_inline


def double(item, context):
    return {"value": item["quantity"] * context.parameters.get("price", 2)}


async def double_async(item, context):
    return item * 2


def test_results_come_in_item_order():
    """Each item's result stands at its position, computed with the given parameters."""
    run = run_inline(double, [{"quantity": 1}, {"quantity": 3}], parameters={"price": 5})
    assert run.results == [{"value": 5}, {"value": 15}]
    assert run.failed == []


def test_no_items_make_an_empty_run():
    """Nothing in, nothing out."""
    assert run_inline(double, []).outcomes == []


def test_coroutines_run_too():
    """An `async def` processor is awaited."""
    assert run_inline(double_async, [1, 2]).results == [2, 4]


def test_a_flaky_item_is_retried_until_it_succeeds():
    """Two failures and a success are three attempts, and both failures are kept."""
    run = run_inline(flaky(double, failures=2), [{"quantity": 3}])
    [outcome] = run.outcomes
    assert outcome.succeeded
    assert outcome.attempts == 3
    assert [failure.type for failure in outcome.failures] == ["FlakyError", "FlakyError"]


def test_retries_run_out():
    """Three retries mean four attempts; then the item has failed with the last error."""
    run = run_inline(flaky(double, failures=99), [{"quantity": 3}])
    [outcome] = run.failed
    assert outcome.attempts == 4
    assert outcome.error.final
    assert outcome.error.message == "this attempt fails on purpose"


def test_delays_pass_on_the_fake_clock_only():
    """Backoff without jitter: 0.2 + 0.4 seconds, read off the clock that was handed in."""
    clock = FakeClock()
    run_inline(flaky(double, failures=2), [{"quantity": 1}], clock=clock)
    assert clock() == pytest.approx(0.6)


def test_a_permanent_failure_is_not_retried():
    """PermanentItemError ends the item at its first attempt."""

    def refuse(item, context):
        raise PermanentItemError("never")

    [outcome] = run_inline(refuse, [1]).outcomes
    assert (outcome.succeeded, outcome.attempts, outcome.error.message) == (False, 1, "never")


def test_retry_later_uses_up_no_retry():
    """Without any retries an item may still ask to be called later."""
    clock = FakeClock()
    busy = flaky(double, failures=3, error=lambda: RetryLater(60))
    run = run_inline(busy, [{"quantity": 1}], retry=RetryPolicy(max_retries=0), clock=clock)
    assert run.outcomes[0].succeeded
    assert run.outcomes[0].attempts == 1
    assert clock() == 180


def test_an_item_that_puts_off_for_ever_is_named():
    """RetryLater for more than four hours is an error of the test, not an endless loop."""

    def later(item, context):
        raise RetryLater(3600)

    with pytest.raises(TimeoutError, match="'t-1' was still asking"):
        run_inline(later, [{"itemId": "t-1"}])


def test_an_unusable_result_fails_as_in_a_batch():
    """NaN is no JSON: the item fails and says so."""

    def nan(item, context):
        return {"value": math.nan}

    [outcome] = run_inline(nan, [1], max_retries=0).outcomes
    assert outcome.error.type == "UnusableResult"
    assert "NaN" in outcome.error.message


def test_flaky_can_pick_items():
    """Only the chosen items fail; the others see their first attempt succeed."""
    picky = flaky(double, failures=1, only=lambda item: item["quantity"] > 1)
    run = run_inline(picky, [{"quantity": 1}, {"quantity": 2}])
    assert [outcome.attempts for outcome in run.outcomes] == [1, 2]


def test_flaky_keeps_async_functions_async():
    """A wrapped coroutine function is still one."""
    assert run_inline(flaky(double_async), [4]).results == [8]


def test_the_context_knows_the_item():
    """Ids, attempt and idempotency key are those of a batch."""

    def who(item, context):
        context.logger.info("seen %s", context.item_id)
        return [context.batch_id, context.item_id, context.index, context.attempt, context.idempotency_key]

    run = run_inline(who, [{"itemId": "a"}, 7], batch_id="b")
    assert run.results == [["b", "a", 0, 1, "b/a"], ["b", "1", 1, 1, "b/1"]]
    assert run.outcomes[0].logs == [("INFO", "seen a")]


@pytest.mark.parametrize("item", [{1, 2}, math.inf, {"when": b"x"}])
def test_items_must_be_json(item):
    """What no document could hold is refused with its position."""
    with pytest.raises(UsageError, match=r"items\[0\] is not JSON"):
        run_inline(double, [item])


def test_an_unknown_name_is_refused():
    """A processor nobody registered is named."""
    with pytest.raises(Exception, match="no-such-processor"):
        run_inline("no-such-processor", [])


def test_a_fake_clock_never_goes_back():
    """It is monotonic, like the clock it stands for."""
    with pytest.raises(ValueError, match="cannot advance"):
        FakeClock().advance(-1)


def test_flaky_refuses_negative_failures():
    """A count of failures is 0 or more."""
    with pytest.raises(ValueError, match="0 or more"):
        flaky(double, failures=-1)


def test_flaky_error_is_the_default():
    """Nobody mistakes the error of the kit for one of the processor."""
    assert issubclass(FlakyError, Exception)
