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


def described(error):
    return failure_of(raised(error), index=0, attempt=1, duration_us=0)


def test_a_group_tells_what_is_in_it():
    """`asyncio.TaskGroup` raises groups: "1 sub-exception" alone helps nobody."""
    inner = ExceptionGroup("inner", [raised(KeyError("k"))])
    failure = described(ExceptionGroup("unhandled errors", [raised(ValueError("bad rate")), inner]))
    assert failure.message == "unhandled errors (2 sub-exceptions): ValueError: bad rate; KeyError: 'k'"
    assert [cause.partition(" at ")[0] for cause in failure.causes] == [
        "ValueError: bad rate",
        "KeyError: 'k'",
    ]
    assert all(f"at {__file__}, line " in cause for cause in failure.causes)


def test_a_group_asks_for_what_its_members_ask_for():
    """One member that must not be tried again is enough; a later attempt helps only where all ask for it."""

    def of(*members):
        return described(ExceptionGroup("both", members))

    assert of(ValueError(), PermanentItemError()).permanent
    assert of(RetryLater(2), RetryLater(5)).retry_after == 5
    assert of(RetryLater(2), RetryLater(math.nan)).retry_after == 2
    assert of(RetryLater(2), OSError()).retry_after is None
    assert of(ValueError(), KeyError()).innate
    assert not of(ValueError(), ConnectionError()).innate


def test_what_led_to_an_exception_is_told():
    """The cause that was named, else what was being handled, unless `from None` hides it."""

    def of(make):
        try:
            try:
                raise OSError("refused")
            except OSError as error:
                make(error)
        except ValueError as error:
            return [cause.partition(" at ")[0] for cause in described(error).causes]

    def named(error):
        raise ValueError("no rate") from error

    def during(error):
        raise ValueError("no rate")

    def hidden(error):
        raise ValueError("no rate") from None

    assert [of(named), of(during), of(hidden)] == [["OSError: refused"], ["OSError: refused"], []]


def test_causes_in_a_circle_end():
    """Two exceptions may name each other."""
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    assert [cause.partition(" at ")[0] for cause in described(one).causes] == ["ValueError: other"]


def test_notes_are_part_of_the_message():
    """A traceback shows them below it, and so do we; what is no text is described."""
    error = ValueError("no rate")
    error.add_note("while valuing GBP")
    error.__notes__.append(Hostile())
    assert described(error).message.startswith("no rate\nwhile valuing GBP\n(cannot be shown")


class Deceiver(ExceptionGroup):
    """A group that tells stories."""

    exceptions = None
    __notes__ = 5

    def __getattribute__(self, name):
        raise RuntimeError(name)


def test_a_group_of_thousands_is_cut():
    """Neither size nor depth nor lies make a failure large or break who describes it."""
    deep = ValueError("x" * 10_000)
    for _ in range(2_000):
        deep = ExceptionGroup("g", [deep])
    for error in (ExceptionGroup("g", [ValueError("x")] * 10_000), deep, Deceiver("g", [ValueError("x")])):
        failure = described(error)
        assert "ValueError: x" in failure.message
        assert len(msgspec.msgpack.encode(failure)) < 20_000
