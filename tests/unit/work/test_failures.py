"""From exception to failure: the user's frames, bounded text, the right code."""

import math

import msgspec

from everyitem.model.errors import ErrorCode, PermanentItemError, RetryLater
from everyitem.work.failures import MAX_MESSAGE, MAX_WAIT, failure_of, in_short, is_final


def raised(error):
    """The exception after it was raised from a function of its own."""
    try:
        raise error
    except BaseException as caught:
        return caught


def test_frames_are_the_users_outermost_first():
    """File, line and function of this file; nothing of everyitem."""
    failure = failure_of(raised(ValueError("x")), index=1, attempt=2, duration_us=3)
    assert (failure.index, failure.attempt, failure.duration_us) == (1, 2, 3)
    assert [(frame[0], frame[2]) for frame in failure.frames] == [(__file__, "raised")]


def test_endless_recursion_leaves_a_short_trace():
    """A thousand frames are cut to the two ends."""

    def recurse():
        recurse()

    try:
        recurse()
    except RecursionError as error:
        failure = failure_of(error, index=0, attempt=1, duration_us=0)
    assert 10 < len(failure.frames) <= 40


def test_messages_are_bounded_and_can_be_stored():
    """A megabyte is cut, lone surrogates are escaped."""
    long = failure_of(ValueError("x" * 1_000_000), index=0, attempt=1, duration_us=0)
    assert len(long.message) < MAX_MESSAGE + 50
    odd = failure_of(ValueError("\ud800"), index=0, attempt=1, duration_us=0)
    assert msgspec.msgpack.encode(odd)


def test_codes_and_marks():
    """Memory is a resource error; permanent and retry-later are marked."""

    def of(error):
        return failure_of(error, index=0, attempt=1, duration_us=0)

    assert of(MemoryError()).code is ErrorCode.RESOURCE_ERROR
    assert of(KeyError("a")).code is ErrorCode.ITEM_ERROR
    assert of(PermanentItemError()).permanent
    assert of(RetryLater(3)).retry_after == 3


class Hostile(RetryLater):
    """Every method of it raises."""

    def __init__(self):
        pass

    def __getattribute__(self, name):
        raise RuntimeError(name)

    def __str__(self):
        raise RuntimeError("str")

    __repr__ = __str__


def test_whatever_an_exception_does_it_is_described():
    """No method of an exception can break who describes it, and the description can be encoded."""
    for error in (Hostile(), ValueError("\udcff"), SystemExit(Hostile())):
        failure = failure_of(raised(error), index=0, attempt=1, duration_us=0)
        assert msgspec.msgpack.encode(failure)
        assert in_short(error)


def test_retry_later_waits_as_long_as_it_says_within_reason():
    """Infinity is a very long time, less than nothing is nothing, NaN is an ordinary failure that says so."""

    def of(seconds):
        return failure_of(RetryLater(seconds), index=0, attempt=1, duration_us=0)

    assert [of(seconds).retry_after for seconds in (-1, math.inf, 1e300)] == [0, MAX_WAIT, MAX_WAIT]
    assert of(math.nan).retry_after is None
    assert "not a number" in of(math.nan).message


def test_a_failure_is_final_when_it_cannot_be_retried():
    """Permanent, or out of attempts; asking for a later retry never is."""

    def of(error, attempt):
        return failure_of(error, index=0, attempt=attempt, duration_us=0)

    assert is_final(of(PermanentItemError(), 1), 4)
    assert is_final(of(ValueError(), 4), 4)
    assert not is_final(of(ValueError(), 3), 4)
    assert not is_final(of(RetryLater(1), 4), 4)
