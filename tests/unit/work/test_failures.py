"""From exception to failure: the user's frames, bounded text, the right code."""

import math

import msgspec

from everyitem.model.errors import ErrorCode, PermanentItemError, RetryLater
from everyitem.work.failures import MAX_MESSAGE, failure_of, is_final


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


def test_a_failure_is_final_when_it_cannot_be_retried():
    """Permanent, or out of attempts; asking for a later retry never is."""

    def of(error, attempt):
        return failure_of(error, index=0, attempt=attempt, duration_us=0)

    assert is_final(of(PermanentItemError(), 1), 4)
    assert is_final(of(ValueError(), 4), 4)
    assert not is_final(of(ValueError(), 3), 4)
    assert not is_final(of(RetryLater(1), 4), 4)
