"""The desk with real threads: whatever hangs, the alert arrives, and who tells it never waits."""

import threading
import time

import msgspec
import pytest

from everyitem.engine.alerts import desk as module
from everyitem.engine.alerts.desk import AlertDesk
from everyitem.model.alerts import Alert, AlertKind, Condition, Level, Reason
from everyitem.model.errors import StoreError
from everyitem.model.status import ExecutionStatus
from everyitem.ports.observer import RunView
from everyitem.settings.alerting import AlertSettings, Channel

LOG = Channel(kind="log")
RUN = RunView(
    execution_key=1, batch_id="b", execution=1, round=1, run=1, processor="p", items=3, began_at=time.time()
)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(module, "LOOK", 0.01)
    monkeypatch.setattr(module, "PATIENCE", 0.05)


class Reached:
    def __init__(self, name):
        self.name, self.pages, self.reached = name, [], threading.Event()

    def send(self, page):
        self.pages.append(page)
        self.reached.set()


class Hangs(Reached):
    def __init__(self, name):
        super().__init__(name)
        self.gate = threading.Event()

    def send(self, page):
        self.reached.set()
        self.gate.wait(60)


class Kept:
    """Alerts in memory."""

    def __init__(self):
        self.kept, self.lists = {}, []

    def put(self, alert):
        self.kept[alert.alert_id] = alert

    def recent(self, since):
        return list(self.kept.values())

    def silences(self, at):
        return self.lists

    def close(self):
        pass


def made(*channels, store=None, adopts=False, **settings):
    names = [channel.name for channel in channels]
    wanted = AlertSettings(escalation=names, channels=dict.fromkeys(names, LOG), **settings)
    return AlertDesk(wanted, {one.name: one for one in channels}, lambda: store or Kept(), adopts=adopts)


def fail(desk, message="the disk is gone"):
    observer = desk.observer()
    observer.began(RUN)
    observer.ended(ExecutionStatus.FAILED, "SYSTEM_ERROR", message)


def test_a_critical_end_reaches_the_channel_and_the_store():
    """Told once, recorded with who was told."""
    channel, store = Reached("ops"), Kept()
    desk = made(channel, store=store)
    fail(desk)
    desk.close()
    (page,) = channel.pages
    (alert,) = store.kept.values()
    assert page.alert.kind is AlertKind.CRITICAL_ERROR
    assert (alert.pages, alert.channel) == (1, "ops")


def test_a_channel_that_hangs_costs_the_alert_its_time_to_deliver_and_the_run_nothing():
    """Telling the desk returns at once; the second channel is told; closing is bounded (F41)."""
    hanging, mail = Hangs("ops"), Reached("mail")
    desk = made(hanging, mail, delivery_seconds=1.0)
    fail(desk)
    assert mail.reached.wait(60)
    desk.close()
    assert len(mail.pages) == 1
    hanging.gate.set()


def test_a_store_that_cannot_be_opened_keeps_nobody_from_being_told():
    """An alert about the store must not need the store."""

    def unreachable():
        raise StoreError("connection refused")

    channel = Reached("ops")
    settings = AlertSettings(escalation=["ops"], channels={"ops": LOG})
    desk = AlertDesk(settings, {"ops": channel}, unreachable)
    fail(desk)
    assert channel.reached.wait(60)
    desk.close()


def test_a_store_that_hangs_keeps_nobody_from_being_told():
    """Its answer is waited for a moment, then people are."""
    gate = threading.Event()

    def hangs():
        gate.wait(60)
        return Kept()

    channel = Reached("ops")
    settings = AlertSettings(escalation=["ops"], channels={"ops": LOG})
    desk = AlertDesk(settings, {"ops": channel}, hangs)
    fail(desk)
    assert channel.reached.wait(60)
    gate.set()
    desk.close()


def test_nothing_wrong_opens_no_store_and_tells_nobody():
    """A healthy first run costs a thread that sleeps."""
    opened = []
    channel = Reached("ops")
    settings = AlertSettings(escalation=["ops"], channels={"ops": LOG})
    desk = AlertDesk(settings, {"ops": channel}, lambda: opened.append(1) or Kept())
    observer = desk.observer()
    observer.began(RUN)
    observer.ended(ExecutionStatus.COMPLETED, "", "")
    desk.close()
    assert (opened, channel.pages) == ([], [])


def test_what_is_noticed_of_executions_nobody_here_carries_out_is_told():
    """For who looks after a store: a dead owner, a stuck outbox."""
    channel = Reached("ops")
    desk = made(channel)
    desk.notice(("other", 2), [Condition(AlertKind.OWNER_GONE, "its process is gone")])
    assert channel.reached.wait(60)
    desk.close()
    assert channel.pages[0].alert.batch_id == "other"


def test_a_broken_channel_is_said_without_its_secret(caplog):
    """The log shows why, and hides the password."""

    class Broken(Reached):
        def send(self, page):
            raise ConnectionError("refused by smtp://me:canary@mail")

    working = Reached("mail")
    desk = made(Broken("ops"), working)
    fail(desk)
    assert working.reached.wait(60)
    desk.close()
    assert "did not go out by 'ops'" in caplog.text
    assert "canary" not in caplog.text


def test_what_an_earlier_process_noticed_is_over_once_somebody_sees_that_all_is_well():
    """Without a run of it in this process: a relay's backlog, an execution whose process died."""
    store = Kept()
    about = "(events)", 0
    first = made(Reached("ops"), store=store, settle_seconds=0.01)
    first.notice(about, [Condition(AlertKind.OUTBOX_STUCK, "5 events wait")])
    until(lambda: any(alert.resolved_at is None for alert in store.kept.values()))
    first.close()
    second = made(Reached("ops"), store=store, settle_seconds=0.01)
    second.notice(about, [])
    until(lambda: all(alert.resolved_at is not None for alert in store.kept.values()))
    second.close()


def test_a_desk_of_a_service_goes_on_with_what_a_dead_process_left():
    """As soon as it begins, without a run of its own."""
    store, channel = Kept(), Reached("ops")
    left = Alert(
        alert_id="1",
        batch_id="b",
        execution=1,
        kind=AlertKind.CRITICAL_ERROR,
        level=Level.CRITICAL,
        text="the run ended with SYSTEM_ERROR",
        raised_at=1.0,
        seen_at=1.0,
        pages=1,
        paged_at=1.0,
    )
    store.put(left)
    desk = made(channel, store=store, adopts=True)
    desk.begin()
    assert channel.reached.wait(60)
    until(lambda: store.kept["1"].pages == 2)
    desk.close()
    assert [page.reason for page in channel.pages] == [Reason.REPEATED]


def test_a_run_that_ends_before_the_store_answers_leaves_no_alert_of_earlier_ones(monkeypatch):
    """It ended well, so what an earlier run left is over; who had not heard of it hears both, in order."""
    monkeypatch.setattr(module, "PATIENCE", 60.0)
    asked, answer = threading.Event(), threading.Event()

    class Slow(Kept):
        def recent(self, since):
            asked.set()
            answer.wait(60)
            return super().recent(since)

    store, channel = Slow(), Reached("ops")
    store.put(
        Alert(
            alert_id="1",
            batch_id="b",
            execution=1,
            kind=AlertKind.CRITICAL_ERROR,
            level=Level.CRITICAL,
            about="",
            text="the disk is gone",
            raised_at=time.time(),
            seen_at=time.time(),
        )
    )
    desk = made(channel, store=store)
    observer = desk.observer()
    observer.began(msgspec.structs.replace(RUN, run=2))
    assert asked.wait(60)
    observer.ended(ExecutionStatus.COMPLETED, "", "")
    answer.set()
    desk.close()
    assert [page.reason for page in channel.pages] == [Reason.RAISED, Reason.RESOLVED]
    (alert,) = store.kept.values()
    assert alert.resolved_at is not None


def until(reached):
    """Bounded by the test's own timeout."""
    while not reached():
        threading.Event().wait(0.005)
