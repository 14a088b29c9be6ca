"""The book of alerts: one page per incident, until somebody acknowledges it, and by the next channel."""

import itertools

import pytest
from msgspec.structs import replace

from everyitem.engine.alerts.book import AlertBook
from everyitem.model.alerts import AlertKind, Condition, Reason, Silence
from everyitem.settings.alerting import AlertSettings, Channel

SCOPE = ("b", 1)
SLOW = Condition(AlertKind.STORAGE_SLOW, "the store took 3 s")
DEAD = Condition(AlertKind.CRITICAL_ERROR, "the run ended with SYSTEM_ERROR")
SETTINGS = AlertSettings(
    escalation=["ops", "mail"],
    channels={"ops": Channel(kind="webhook", url="http://x"), "mail": Channel(kind="smtp", to=["a@b"])},
)
REPEAT, DELIVERY, SETTLE = SETTINGS.repeat_seconds, SETTINGS.delivery_seconds, SETTINGS.settle_seconds


#: Of all processes of a test.
NUMBERS = itertools.count(1)


class Desk:
    """A book with channels that answer at once, or not."""

    def __init__(self, settings=SETTINGS, dead=(), silent=()):
        self.book = AlertBook(settings, new_id=lambda: f"a{next(NUMBERS)}")
        self.dead, self.silent = set(dead), set(silent)
        self.sent = []

    def at(self, at, *conditions, scope=SCOPE):
        """Look at this moment, and deliver until nothing more is to be sent."""
        self.book.see(scope, conditions, at)
        return self.deliver(at)

    def deliver(self, at):
        sent = []
        while pages := self.book.decide(at):
            for page in pages:
                if page.channel in self.silent:
                    continue
                reached = page.channel not in self.dead
                if reached:
                    sent.append((page.channel, page.reason, page.alert.kind))
                self.book.delivered(page, at, reached=reached)
        self.sent += sent
        return sent

    @property
    def alert(self):
        (alert,) = self.book._alerts.values()
        return alert


def test_a_condition_is_told_once_however_often_it_is_seen():
    """A thousand looks within the time to repeat: one page."""
    desk = Desk()
    for at in range(int(REPEAT)):
        desk.at(float(at), SLOW)
    assert desk.sent == [("ops", Reason.RAISED, SLOW.kind)]


def test_what_nobody_acknowledges_goes_one_channel_further_and_is_repeated_there():
    """Escalation: the second channel after the time to repeat, and again and again."""
    desk = Desk()
    for at in range(0, 4 * int(REPEAT), 10):
        desk.at(float(at), DEAD)
    assert [(channel, reason) for channel, reason, _ in desk.sent] == [
        ("ops", Reason.RAISED),
        ("mail", Reason.ESCALATED),
        ("mail", Reason.REPEATED),
        ("mail", Reason.REPEATED),
    ]


def test_an_acknowledged_alert_is_not_repeated():
    """Also where the acknowledgement came through the store, from another process."""
    desk = Desk()
    desk.at(0.0, DEAD)
    desk.book.remember([replace(desk.alert, acknowledged_at=1.0, acknowledged_by="me@here")])
    assert desk.at(10 * REPEAT, DEAD) == []
    assert desk.alert.acknowledged_by == "me@here"


def test_a_channel_that_refuses_is_followed_by_the_next_one_at_once():
    """No waiting for the time to repeat."""
    assert Desk(dead=["ops"]).at(0.0, DEAD) == [("mail", Reason.RAISED, DEAD.kind)]


def test_a_channel_that_hangs_is_followed_by_the_next_one_after_the_time_to_deliver():
    """A critical alert has reached a human channel long before a minute is over (F41)."""
    desk = Desk(silent=["ops"])
    assert desk.at(0.0, DEAD) == []
    assert desk.at(DELIVERY - 0.1, DEAD) == []
    assert desk.at(DELIVERY, DEAD) == [("mail", Reason.RAISED, DEAD.kind)]
    assert DELIVERY < 60


def test_when_nobody_is_reached_all_channels_are_tried_again():
    """An alert is never given up."""
    desk = Desk(dead=["ops", "mail"])
    assert desk.at(0.0, DEAD) == []
    desk.dead = {"ops"}
    assert desk.at(SETTINGS.retry_seconds - 0.1, DEAD) == []
    assert desk.at(SETTINGS.retry_seconds, DEAD) == [("mail", Reason.RAISED, DEAD.kind)]


def test_a_late_delivery_counts():
    """A page given up and yet delivered is not told a third time."""
    desk = Desk(silent=["ops", "mail"])
    desk.book.see(SCOPE, [DEAD], 0.0)
    (first,) = desk.book.decide(0.0)
    desk.book.decide(DELIVERY)
    desk.book.delivered(first, DELIVERY + 1, reached=True)
    assert desk.alert.pages == 1
    assert desk.book.is_quiet
    assert desk.book.decide(DELIVERY + 2) == []


def test_a_condition_that_is_gone_for_a_while_is_resolved_and_that_is_told_where_it_was_told_last():
    """A moment without it is not enough."""
    desk = Desk(dead=["ops"])
    desk.at(0.0, SLOW)
    assert desk.at(SETTLE - 1) == []
    assert desk.alert.resolved_at is None
    assert desk.at(SETTLE) == [("mail", Reason.RESOLVED, SLOW.kind)]
    assert desk.alert.resolved_at == SETTLE


def test_a_condition_that_comes_and_goes_is_one_incident():
    """At most one page and one all-clear within the time to repeat."""
    desk = Desk()
    for at in range(int(REPEAT)):
        desk.at(float(at), *([SLOW] if at % 100 < 10 else []))
    assert [reason for _, reason, _ in desk.sent] == [Reason.RAISED, Reason.RESOLVED]
    assert desk.alert.occurrences > 5


def test_after_the_time_to_repeat_the_same_condition_is_a_new_incident():
    """With a page of its own."""
    desk = Desk()
    desk.at(0.0, SLOW)
    desk.at(SETTLE)
    assert desk.at(2 * REPEAT, SLOW) == [("ops", Reason.RAISED, SLOW.kind)]


def test_the_end_of_a_run_is_the_end_of_what_was_wrong_with_it_but_for_what_lasts():
    """A slow store is no trouble of a batch that is over; how it ended is."""
    desk = Desk()
    desk.at(0.0, SLOW)
    desk.book.end(SCOPE, [DEAD], 1.0)
    kinds = {alert.kind: alert.resolved_at for alert in desk.book._alerts.values()}
    assert kinds == {SLOW.kind: 1.0, DEAD.kind: None}


def test_a_later_run_that_ends_well_resolves_what_earlier_ones_have_left():
    """The alert was recorded by another process."""
    earlier = Desk()
    earlier.at(0.0)
    earlier.book.end(SCOPE, [DEAD], 0.0)
    earlier.deliver(0.0)
    later = Desk()
    later.at(10.0)
    later.book.remember([earlier.alert])
    later.book.end(SCOPE, [], 20.0)
    assert later.deliver(20.0) == [("ops", Reason.RESOLVED, DEAD.kind)]


def test_what_another_process_saw_end_is_repeated_by_nobody():
    """A batch somebody has brought to a good end elsewhere; what comes back later stands again."""
    here, elsewhere = Desk(), Desk()
    here.at(0.0)
    here.book.end(SCOPE, [DEAD], 0.0)
    here.deliver(0.0)
    elsewhere.book.remember([here.alert])
    elsewhere.book.end(SCOPE, [], 20.0)
    here.book.remember([elsewhere.alert])
    assert here.book.standing == []
    assert here.deliver(REPEAT) == []
    here.book.end(SCOPE, [DEAD], 30.0 + REPEAT)
    here.book.remember([elsewhere.alert])
    assert len(here.book.standing) == 1


def test_who_looks_after_a_store_repeats_what_nobody_else_does():
    """A run that failed has no process any more; somebody must still be told, one channel further."""
    gone, service = Desk(), Desk()
    gone.at(0.0)
    gone.book.end(SCOPE, [DEAD, Condition(AlertKind.RUN_FAILED, "cancelled")], 0.0)
    gone.deliver(0.0)
    recorded = gone.book.changes()
    service.book.adopt(recorded, REPEAT + 59.0)
    assert service.deliver(REPEAT + 59.0) == []
    service.book.adopt(recorded, REPEAT + 60.0)
    assert service.deliver(REPEAT + 60.0) == [("mail", Reason.ESCALATED, DEAD.kind)]
    (repeated,) = service.book.changes()
    assert repeated.pages == 2


def test_of_two_who_look_after_a_store_one_tells():
    """Each sees what the other has told."""
    left = Desk()
    left.at(0.0)
    left.book.end(SCOPE, [DEAD], 0.0)
    left.deliver(0.0)
    one, other = Desk(), Desk()
    for desk in (one, other):
        desk.book.adopt([left.alert], REPEAT + 60.0)
    assert one.deliver(REPEAT + 60.0) != []
    other.book.remember([one.alert])
    assert other.deliver(REPEAT + 60.0) == []
    other.book.remember([replace(one.alert, acknowledged_at=1000.0, acknowledged_by="ada")])
    assert other.deliver(3 * REPEAT) == []


@pytest.mark.parametrize("kind", [AlertKind.OWNER_GONE, AlertKind.EVENT_PARKED])
def test_what_somebody_looks_after_all_the_time_is_over_when_he_says_so(kind):
    """No run has to end for it: somebody went on with the batch, or offered the event again."""
    desk = Desk()
    desk.at(0.0, Condition(kind, "it is"))
    desk.at(10.0)
    assert desk.at(SETTLE) == [("ops", Reason.RESOLVED, kind)]
    assert desk.book.standing == []


def test_a_process_that_starts_again_does_not_tell_again_what_was_told():
    """The incident, its number of pages and its place in the escalation survive the restart."""
    first = Desk()
    first.at(0.0, DEAD)
    second = Desk()
    second.book.see(SCOPE, [DEAD], 100.0)
    second.book.remember([first.alert])
    assert second.deliver(100.0) == []
    assert (second.alert.alert_id, second.alert.pages) == (first.alert.alert_id, 1)
    assert second.at(REPEAT, DEAD) == [("mail", Reason.ESCALATED, DEAD.kind)]


def test_silenced_alerts_are_recorded_and_told_when_the_silence_is_over():
    """If they still stand then."""
    desk = Desk()
    desk.book.silence([Silence(batch="b*", kind="storage-*", until=50.0)])
    assert desk.at(0.0, SLOW, DEAD) == [("ops", Reason.RAISED, DEAD.kind)]
    assert {alert.kind for alert in desk.book.changes()} == {SLOW.kind, DEAD.kind}
    assert desk.at(50.0, SLOW, DEAD) == [("ops", Reason.RAISED, SLOW.kind)]


def test_a_storm_of_incidents_is_a_bounded_number_of_pages_the_critical_first():
    """What is not told yet is recorded, and its turn comes."""
    desk = Desk()
    for number in range(200):
        desk.book.see((f"b{number}", 1), [SLOW], 0.0)
    desk.book.see(SCOPE, [DEAD], 1.0)
    told = desk.deliver(1.0)
    assert len(told) == SETTINGS.most_pages
    assert told[0] == ("ops", Reason.RAISED, DEAD.kind)
    assert len(desk.book.changes()) == 201
    assert len(desk.deliver(1.0 + REPEAT)) == SETTINGS.most_pages


@pytest.mark.parametrize("seed", range(50))
def test_no_incident_is_told_twice_within_the_time_to_repeat(seed):
    """Whatever comes, goes, hangs, refuses and restarts, at random."""
    import random

    chance = random.Random(seed)
    desk, told, at = Desk(), {}, 0.0
    for _ in range(300):
        at += chance.choice((1.0, 5.0, 30.0, 100.0))
        desk.dead = {"ops"} if chance.random() < 0.3 else set()
        conditions = [one for one in (SLOW, DEAD) if chance.random() < 0.7]
        if chance.random() < 0.05:
            recorded = list(desk.book._alerts.values())
            desk = Desk()
            desk.book.see(SCOPE, conditions, at)
            desk.book.remember(recorded)
        for _, reason, kind in desk.at(at, *conditions):
            if reason is not Reason.RESOLVED:
                assert at - told.get(kind, -REPEAT) >= REPEAT
                told[kind] = at
    assert told.keys() == {SLOW.kind, DEAD.kind}
