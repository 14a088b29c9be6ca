"""Refusals: which code a set of problems gets; `RetryLater`: what a server's header asks for."""

import math
import subprocess
import sys

import pytest

from everyitem.model import retry_after
from everyitem.model.errors import DocumentRefused, ErrorCode, Problem, RetryLater

E, R, S, ITEM = (
    ErrorCode.EXECUTION_ERROR,
    ErrorCode.RESOURCE_ERROR,
    ErrorCode.SYSTEM_ERROR,
    ErrorCode.ITEM_ERROR,
)


@pytest.mark.parametrize(
    ("codes", "refusal"),
    [([ITEM], ITEM), ([ITEM, R], R), ([R, E], E), ([ITEM, ITEM, E], E), ([S, ITEM], S), ([R], R)],
)
def test_the_envelope_wins_over_resources_and_those_over_items(codes, refusal):
    """Only item problems make an ITEM_ERROR."""
    assert DocumentRefused([Problem("p", "m", code) for code in codes]).refusal_code is refusal


def test_a_problem_reads_path_and_message():
    """`path: message`, or the message alone."""
    assert str(Problem("$.a", "wrong")) == "$.a: wrong"
    assert str(Problem("", "wrong")) == "wrong"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120),
        (" 0 ", 0),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 37),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 37),
        ("Sun Nov  6 08:49:37 1994", 37),
        ("Sun, 06 Nov 1994 08:48:00 GMT", 0),
    ],
)
def test_a_retry_after_header_is_seconds_or_a_date(monkeypatch, header, seconds):
    """All three forms of a date in HTTP; one that has passed means at once (RFC 9110, 5.6.7 and 10.2.3)."""
    monkeypatch.setattr(retry_after.time, "time", lambda: 784111740.0)  # 08:49:00 on that day
    assert RetryLater.from_header(header).seconds == seconds


@pytest.mark.parametrize(
    "header",
    [None, "", "soon", "-5", "1.5", "1e3", "inf", "nan", "\u0663", "Sun, 99 Nov 1994 08:49:37 GMT", "0, 0"],
)
def test_a_header_that_says_nothing_means_the_default(header):
    """A server's bad header is no failure of the item."""
    assert RetryLater.from_header(header).seconds == 1
    assert RetryLater.from_header(header, default=7).seconds == 7


def test_a_header_of_any_length_is_read():
    """A number beyond a double is a very long time; the wait is cut where the failure is made."""
    assert RetryLater.from_header("9" * 5000).seconds == math.inf


def test_a_subclass_reads_headers_too():
    """An application's own exception keeps its type."""

    class Throttled(RetryLater):
        pass

    assert type(Throttled.from_header("3")) is Throttled


def test_a_worker_loads_no_mail_parser():
    """Dates are rare: who never reads one does not pay for it."""
    code = "import sys, everyitem.model.errors; sys.exit('email.utils' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
