"""What the engine decides of its own accord is told once, with its reason."""

import logging

import pytest

from everyitem.engine.allotment import Allotment
from everyitem.engine.breaker import EVIDENCE, Breaker
from everyitem.engine.decisions import Decisions
from everyitem.engine.observers import Observers
from everyitem.model.alerts import AlertKind, Condition
from everyitem.model.errors import ErrorCode
from everyitem.model.outcome import UNREACHABLE, Failure
from everyitem.ports.observer import NoObserver


class Noticing(NoObserver):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.heard: list[tuple[AlertKind, str, bool]] = []

    def noticed(self, condition: Condition, *, stands: bool) -> None:
        self.heard.append((condition.kind, condition.about, stands))


def test_a_change_of_parallelism_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """With the number it led to and its reason."""
    allotment = Allotment([("a", 4)], [("a", 4)], least=1, adapts=True, at=0.0)
    decisions = Decisions(allotment, Breaker(), Observers([]))
    allotment.leave("a", 1, 5.0)
    with caplog.at_level(logging.INFO, "everyitem"):
        decisions.tell(5.1)
        decisions.tell(5.2)
    assert [record.getMessage() for record in caplog.records] == ["shrink to 1 slot: memory leaves 1 slot"]


def test_an_outage_is_an_alert_until_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    """It says what fails, and that nobody needs to do anything about the items."""
    observer, breaker = Noticing(), Breaker()
    decisions = Decisions(
        Allotment([("a", 1)], [], least=1, adapts=False, at=0.0), breaker, Observers([observer])
    )
    for index in range(EVIDENCE):
        type_ = "ConnectTimeout" if index % 3 else "ConnectionResetError"
        breaker.failed(Failure(index, 1, ErrorCode.ITEM_ERROR, type_, "no", family=UNREACHABLE), 1.0)
    decisions.tell(1.1)
    decisions.tell(1.3)
    breaker.allowance(2.0, leased=0, slots=1, unit=1)
    breaker.probes()
    breaker.succeeded(2.1, 1)
    breaker.allowance(2.2, leased=0, slots=1, unit=1)
    decisions.tell(2.3)
    assert observer.heard == [
        (AlertKind.BREAKER_OPEN, UNREACHABLE, True),
        (AlertKind.BREAKER_OPEN, UNREACHABLE, False),
    ]
    opened, over = (record.getMessage() for record in caplog.records)
    assert opened.startswith("most items fail with ConnectTimeout or ConnectionResetError, which")
    assert "no retries are used up" in opened
    assert over == "the outage (ConnectTimeout or ConnectionResetError) is over after 1 s"
