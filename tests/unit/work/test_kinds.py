"""What exceptions say of an outage: by their class, by what is behind them, and never by running code."""

import errno
import http.client
import socket
import sqlite3
import ssl
import urllib.error
from email.message import Message

import psycopg
import pytest
import redis
import requests
import urllib3
from hypothesis import given
from hypothesis import strategies as st

from everyitem.model.errors import PermanentItemError
from everyitem.model.outcome import DATABASE, UNREACHABLE
from everyitem.work.failures import failure_of, timeout_failure


def told(error):
    """The family of an exception, and whether it is innate."""
    failure = failure_of(error, index=0, attempt=1, duration_us=0)
    return failure.family, failure.innate


def made(name, *bases):
    """An exception class of a library that is not installed here: what is asked of it is its names."""
    return type(name, bases or (Exception,), {})


class Answer:
    """A response with a status, as clients of HTTP have one."""

    def __init__(self, status_code):
        self.status_code = status_code


class HTTPStatusError(Exception):
    """As httpx raises it."""

    def __init__(self, status_code):
        super().__init__(f"status {status_code}")
        self.response = Answer(status_code)


TransportError = made("TransportError", made("RequestError", made("HTTPError")))
NetworkError = made("NetworkError", TransportError)
ConnectTimeout = made("ConnectTimeout", made("TimeoutException", TransportError))
ServerDisconnectedError = made("ServerDisconnectedError", made("ServerConnectionError"))

#: One outage, as the clients there are tell of it.
UNREACHABLES = [
    ConnectionRefusedError(errno.ECONNREFUSED, "refused"),
    ConnectionResetError(),
    BrokenPipeError(),
    TimeoutError(),
    http.client.RemoteDisconnected("no answer"),
    http.client.IncompleteRead(b"half"),
    socket.gaierror(-3, "temporary failure in name resolution"),
    OSError(errno.EHOSTUNREACH, "no route to host"),
    OSError(errno.ENETUNREACH, "network is unreachable"),
    ssl.SSLEOFError(8, "EOF occurred in violation of protocol"),
    urllib3.exceptions.NewConnectionError(None, "refused"),
    urllib3.exceptions.ReadTimeoutError(None, "/", "late"),
    requests.ConnectionError(),
    requests.ReadTimeout(),
    redis.ConnectionError(),
    redis.TimeoutError(),
    psycopg.errors.ConnectionTimeout(),
    NetworkError(),
    ConnectTimeout(),
    made("RemoteProtocolError", TransportError)(),
    ServerDisconnectedError(),
    made("EndpointConnectionError")(),
    made("ServiceUnavailable")(),
    made("DeadlineExceeded")(),
]


@pytest.mark.parametrize("error", UNREACHABLES, ids=lambda error: type(error).__name__)
def test_an_outage_shows_in_many_classes_of_one_family(error):
    """Of Python itself by ancestors and numbers, of libraries by the names they give."""
    assert told(error) == (UNREACHABLE, False)


@pytest.mark.parametrize(
    "error",
    [
        psycopg.OperationalError(),
        psycopg.errors.AdminShutdown(),
        psycopg.errors.CannotConnectNow(),
        psycopg.InterfaceError(),
        sqlite3.OperationalError("database is locked"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_databases_say_it_in_the_words_of_their_api(error):
    """PEP 249: what is not under the programmer's control is an OperationalError."""
    assert told(error)[0] in (DATABASE, UNREACHABLE)
    assert not told(error)[1]


@pytest.mark.parametrize(
    "error",
    [
        ValueError(),
        KeyError(),
        UnicodeDecodeError("utf-8", b"", 0, 1, ""),
        FileNotFoundError(errno.ENOENT, "gone"),
        PermissionError(),
        psycopg.errors.UniqueViolation(),
        sqlite3.IntegrityError(),
        psycopg.DataError(),
        psycopg.errors.UndefinedTable(),
        made("ServiceUnavailable", KeyError)(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_speaks_of_the_item_or_the_code_is_of_no_family(error):
    """Built-in ancestors count for more than a name."""
    assert told(error) == ("", True)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError(),
        OSError(errno.ENOSPC, "the disk is full"),
        OSError("no number"),
        OSError([], "a number that is none"),
        ssl.SSLCertVerificationError("expired"),
        requests.exceptions.SSLError("certificate"),
        made("NetworkXNoPath")(),
        PermanentItemError(),
        HTTPStatusError(500),
        HTTPStatusError(401),
        HTTPStatusError("503"),
    ],
    ids=repr,
)
def test_whatever_says_neither_is_alike_to_its_own_class_only(error):
    """What might be the item's fault or not; a certificate that is refused mends by no waiting."""
    assert told(error) == ("", False)


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
def test_a_gateway_answers_for_who_is_away(status):
    """The status of the response is looked at, wherever a client keeps it."""
    answer = requests.Response()
    answer.status_code = status
    errors = [
        HTTPStatusError(status),
        requests.HTTPError("no", response=answer),
        urllib.error.HTTPError("http://x/", status, "no", Message(), None),
        made("ClientResponseError")(),
    ]
    errors[-1].status = status
    assert [told(error) for error in errors] == [(UNREACHABLE, False)] * 4


@pytest.mark.parametrize("status", [400, 404, 410, 422])
def test_an_answer_that_the_request_is_wrong_is_of_the_item(status):
    """Another item asks for something else."""
    answer = requests.Response()
    answer.status_code = status
    assert told(HTTPStatusError(status)) == ("", True)
    assert told(requests.HTTPError("no", response=answer)) == ("", True)


def raised_from(error, cause):
    """The exception after `raise error from cause`."""
    try:
        raise error from cause
    except BaseException as caught:
        return caught


def raised_for(error, first):
    """The exception after it was raised in the handling of another."""
    try:
        try:
            raise first
        except BaseException:
            raise error  # noqa: B904  that is the point
    except BaseException as caught:
        return caught


def test_what_it_was_raised_from_is_believed():
    """Whatever the class it is told in, and however far behind it lies."""
    refused = ConnectionRefusedError(errno.ECONNREFUSED, "refused")
    assert told(raised_from(RuntimeError("no price"), refused)) == (UNREACHABLE, False)
    assert told(raised_from(ValueError("no price"), refused)) == (UNREACHABLE, False)
    assert told(raised_from(RuntimeError(), HTTPStatusError(503))) == (UNREACHABLE, False)
    deep = raised_from(KeyError("a"), raised_from(RuntimeError("b"), raised_from(ValueError("c"), refused)))
    assert told(deep) == (UNREACHABLE, False)


def test_what_it_was_raised_in_the_handling_of_is_believed_where_its_class_says_nothing():
    """Who forgets `from` is understood; a mistake in the handler is a mistake; `from None` ends the story."""
    refused = ConnectionRefusedError(errno.ECONNREFUSED, "refused")
    assert told(raised_for(RuntimeError("no price"), refused)) == (UNREACHABLE, False)
    assert told(raised_for(KeyError("price"), refused)) == ("", True)
    hidden = raised_for(RuntimeError("no price"), refused)
    hidden.__suppress_context__ = True
    assert told(hidden) == ("", False)
    assert told(raised_for(urllib.error.URLError(refused), refused)) == (UNREACHABLE, False)


def test_a_bad_item_behind_an_exception_makes_no_outage_of_it_and_no_bad_item():
    """A cache that misses (`KeyError`) before a service fails says nothing of the item."""
    assert told(raised_for(RuntimeError("the service says no"), KeyError("not cached"))) == ("", False)


def test_a_group_is_what_its_members_are():
    """Tasks that run side by side raise together."""
    assert told(ExceptionGroup("tasks", [RuntimeError(), ConnectTimeout()])) == (UNREACHABLE, False)
    assert told(ExceptionGroup("tasks", [KeyError(), ValueError()])) == ("", True)
    assert told(ExceptionGroup("tasks", [KeyError(), RuntimeError()])) == ("", False)


def test_an_item_out_of_time_may_be_an_outage():
    """Nothing answers: the item times out before the connection does."""
    assert timeout_failure(0, attempt=1, duration_us=1, timeout=1.0).family == UNREACHABLE


def test_a_chain_that_goes_round_ends():
    """`__cause__` can be set to anything."""
    one, other = RuntimeError("a"), RuntimeError("b")
    one.__cause__, other.__cause__ = other, one
    assert told(one) == ("", False)


class HostileStatus(Exception):
    """Every property of it raises."""

    @property
    def status_code(self):
        raise SystemExit

    @property
    def __cause__(self):
        raise KeyboardInterrupt


class Odd(int):
    """A number that cannot be looked up."""

    def __hash__(self):
        raise RuntimeError("hash")


def test_no_exception_can_break_who_looks_at_it():
    """Its own methods are not asked where Python knows; what must be asked may fail."""
    error = HTTPStatusError(503)
    error.response.status_code = Odd(503)
    assert told(HostileStatus()) == ("", False)
    assert told(error) == (UNREACHABLE, False)
    odd = OSError("odd")
    odd.errno = Odd(errno.ENETUNREACH)
    assert told(odd) == ("", False)


BUILT_IN = [
    KeyError,
    ValueError,
    TypeError,
    RuntimeError,
    OSError,
    ConnectionResetError,
    TimeoutError,
    Exception,
]


@given(
    st.lists(st.tuples(st.sampled_from(BUILT_IN), st.booleans()), min_size=1, max_size=6),
)
def test_nothing_is_both_innate_and_of_a_family(links):
    """And without a connection or a timeout anywhere behind it, nothing is of a family."""
    error = None
    for class_, is_explicit in links:
        new = class_("x")
        if error is not None:
            error = raised_from(new, error) if is_explicit else raised_for(new, error)
        else:
            error = new
    family, innate = told(error)
    assert not (family and innate)
    if not any(issubclass(class_, ConnectionError | TimeoutError) for class_, _ in links):
        assert family == ""
    if issubclass(links[-1][0], ConnectionError | TimeoutError):
        assert family == UNREACHABLE
