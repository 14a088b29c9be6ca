"""How long the engine waits for a store that is out of reach, on a clock of its own."""

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from everyitem.engine import patience
from everyitem.engine.messages import ChangeStatus
from everyitem.engine.patience import LONGEST, Patience
from everyitem.engine.patient_store import PatientStore
from everyitem.engine.switch import Switch
from everyitem.engine.writer import _by_status
from everyitem.model.errors import (
    IllegalMove,
    OwnershipLost,
    StoreDamaged,
    StoreError,
    StoreFull,
    StoreRefused,
)
from everyitem.model.status import ExecutionStatus


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 1000.0
        #: Called with the time after each sleep.
        self.watch: Callable[[float], Any] = lambda now: None

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.watch(self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    made = Clock()
    monkeypatch.setattr(patience, "time", made)
    monkeypatch.setattr("everyitem.engine.switch.time", made)
    return made


class Flaky:
    """Fails until the clock says so; counts how often it was asked."""

    def __init__(self, clock: Clock, until: float, error: Exception | None = None) -> None:
        self.clock, self.until, self.error = clock, until, error or StoreError("gone")
        self.asked: list[float] = []

    def __call__(self) -> str:
        self.asked.append(self.clock.now)
        if self.clock.now < self.until:
            raise self.error
        return "answer"


def patient(seconds: float = 300.0, drain: float = 30.0, switch: Switch | None = None) -> Patience:
    return Patience(seconds, drain=drain, switch=switch or Switch())


def test_a_store_is_asked_again_until_it_answers(clock: Clock) -> None:
    """Soon at first, then ever more rarely, and within two seconds of its return."""
    store = Flaky(clock, until=clock.now + 60)
    assert patient().ask(store) == "answer"
    pauses = [later - earlier for earlier, later in zip(store.asked, store.asked[1:], strict=False)]
    assert pauses[:3] == pytest.approx([0.1, 0.2, 0.4])
    assert max(pauses) == pytest.approx(LONGEST)
    assert store.asked[-1] - store.until <= LONGEST + 0.01


def test_patience_ends(clock: Clock) -> None:
    """After what the operator allows the store's own error is raised, and the next question waits no more."""
    store = Flaky(clock, until=clock.now + 1000)
    began = clock.now
    waiting = patient(seconds=10)
    with pytest.raises(StoreError, match="gone"):
        waiting.ask(store)
    assert clock.now - began == pytest.approx(10, abs=0.01)
    with pytest.raises(StoreError):
        waiting.ask(store)
    assert clock.now - began == pytest.approx(10, abs=0.01)


def test_every_outage_has_its_own_patience(clock: Clock) -> None:
    """Once the store has answered, the time starts anew."""
    waiting = patient(seconds=10)
    for _ in range(3):
        assert waiting.ask(Flaky(clock, until=clock.now + 9)) == "answer"


@pytest.mark.parametrize("error", [IllegalMove, OwnershipLost, StoreFull, StoreDamaged, StoreRefused])
def test_what_no_waiting_mends_is_raised_at_once(clock: Clock, error: type[StoreError]) -> None:
    """A lost ownership, a full disk, damage, missing rights."""
    store = Flaky(clock, until=clock.now + 1, error=error("for good"))
    with pytest.raises(error):
        patient().ask(store)
    assert len(store.asked) == 1


@pytest.mark.parametrize(
    ("ask", "within"),
    [
        (lambda switch: switch.stop("a test"), 5.0),
        (lambda switch: switch.cancel(), 5.0),
        (lambda switch: switch.stop_now(), 0.0),
    ],
)
def test_who_is_asked_to_end_waits_for_the_drain_only(
    clock: Clock, ask: Callable[[Switch], None], within: float
) -> None:
    """A stop and a cancellation leave the time of a drain, a second signal none."""
    switch = Switch()
    asked_at = clock.now + 20
    asked = False

    def watch(now: float) -> None:
        nonlocal asked
        if now >= asked_at and not asked:
            asked = True
            ask(switch)

    clock.watch = watch
    with pytest.raises(StoreError):
        patient(drain=5.0, switch=switch).ask(Flaky(clock, until=clock.now + 1000))
    assert clock.now - asked_at == pytest.approx(within, abs=0.2)


def test_an_outage_is_told_and_so_is_its_end(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """One warning in a while, not one per try; an idle connection that died is worth none."""
    with caplog.at_level(logging.WARNING, logger="everyitem"):
        patient().ask(Flaky(clock, until=clock.now + 0.05))
        assert not caplog.records
        patient().ask(Flaky(clock, until=clock.now + 70))
    told = [record.getMessage() for record in caplog.records]
    assert [("out of reach" in text, "is back" in text) for text in told] == [(True, False)] * 3 + [
        (False, True)
    ]


def test_a_patient_store_asks_again_for_everything_the_engine_asks(clock: Clock) -> None:
    """No question of the port that the engine asks goes past the patience."""

    class Away:
        """Fails once with every question."""

        url = "x"

        def __init__(self) -> None:
            self.asked: dict[str, int] = {}

        def __getattr__(self, name: str) -> Callable[..., Any]:
            def answer(*_: object, **__: object) -> Any:
                self.asked[name] = self.asked.get(name, 0) + 1
                if self.asked[name] == 1:
                    raise StoreError("gone")
                return iter(()) if name == "segments" else None

            return answer

    away = Away()
    store = PatientStore(away, patient())  # type: ignore[arg-type]
    store.find("b")
    store.claim(1)
    store.create(None, None)  # type: ignore[arg-type]
    store.recorded(1)
    store.items(1)
    list(store.segments(1))
    store.recount(1)
    store.request(1, None, "me")  # type: ignore[arg-type]
    assert set(away.asked.values()) == {2}


def test_once_more_at_any_rate(clock: Clock) -> None:
    """A connection that died while idle does not fail a run whose time for waiting is over."""
    asked = []

    def once() -> str:
        asked.append(clock.now)
        if len(asked) == 1:
            raise StoreError("the connection was closed")
        return "answer"

    switch = Switch()
    assert patient(seconds=0.0, switch=switch).ask(once) == "answer"
    assert len(asked) == 2


def test_a_thread_that_reads_well_does_not_prolong_the_wait_of_one_that_cannot_write(clock: Clock) -> None:
    """Each thread has an outage of its own."""
    waiting = patient(seconds=5.0)

    def read(now: float) -> None:
        with ThreadPoolExecutor(1) as threads:
            assert threads.submit(waiting.ask, lambda: "read").result(timeout=30) == "read"

    clock.watch = read
    store = Flaky(clock, until=clock.now + 60)
    with pytest.raises(StoreError):
        waiting.ask(store)
    assert store.asked[-1] - store.asked[0] <= 5.0 + LONGEST


def test_states_are_written_one_by_one() -> None:
    """A state that is passed over would be an illegal move: QUEUED cannot become PAUSED."""
    running, paused = ChangeStatus(ExecutionStatus.RUNNING), ChangeStatus(ExecutionStatus.PAUSED)
    assert list(_by_status([running, paused])) == [[running], [paused]]
    assert list(_by_status([running])) == [[running]]
    assert list(_by_status([])) == [[]]
