"""What is told of a function before it is called."""

import asyncio
import functools

import pytest

from everyitem.work.functions import awaitable, why_unusable


def plain(item, context):
    return item


async def coroutine(item, context):
    return item


def handing_on(function):
    @functools.wraps(function)
    def wrapper(*arguments):
        return function(*arguments)

    return wrapper


def running(function):
    @functools.wraps(function)
    def wrapper(*arguments):
        one = function(*arguments)
        with pytest.raises(StopIteration) as stopped:
            one.send(None)
        return stopped.value.value

    return wrapper


def turning_async(function):
    @functools.wraps(function)
    async def wrapper(*arguments):
        return function(*arguments)

    return wrapper


class Plain:
    def __call__(self, item, context):
        return item

    def method(self, item, context):
        return item


class Coroutine:
    async def __call__(self, item, context):
        return item


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (plain, False),
        (handing_on(plain), False),
        (functools.partial(plain), False),
        (Plain(), False),
        (Plain().method, False),
        (coroutine, True),
        (handing_on(coroutine), True),
        (running(coroutine), True),
        (functools.partial(coroutine), True),
        (turning_async(plain), True),
        (Coroutine(), True),
    ],
)
def test_what_a_call_returns_is_awaited_where_it_must_be(function, expected):
    """However it is wrapped, and whatever the wrapper makes of the coroutine, its result comes out."""
    called, is_async = awaitable(function)
    assert is_async is expected
    answer = asyncio.run(called(5, None)) if is_async else called(5, None)
    assert answer == 5
    assert why_unusable(function) == ""


def takes_what_it_gets(*arguments, **named):
    """Usable."""


def has_defaults(item, context, more=1, *, other=2):
    """Usable."""


@pytest.mark.parametrize("function", [takes_what_it_gets, has_defaults, len, dict, staticmethod(plain)])
def test_in_doubt_a_function_is_usable(function):
    """Only what could never give a result is refused."""
    assert why_unusable(function) == ""


def one(item):
    """Too few."""


def three(item, context, more):
    """Too many."""


def named(item, *, context):
    """By position it cannot be called."""


def generator(item, context):
    yield item


async def async_generator(item, context):
    yield item


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (5, "must be a function, not int"),
        (one, "called with two arguments"),
        (three, "called with two arguments"),
        (named, "called with two arguments"),
        (Plain.method, "called with two arguments"),
        (generator, "`yield`"),
        (async_generator, "`yield`"),
    ],
)
def test_what_could_never_give_a_result_is_refused(function, reason):
    """It would fail every item of every batch, each as often as retries allow."""
    assert reason in why_unusable(function)
