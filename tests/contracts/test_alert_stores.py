"""What every store keeps of alerts."""

import pytest
from msgspec.structs import replace

from everyitem import compose
from everyitem.model.alerts import Alert, AlertKind, Level, Silence

ALERT = Alert(
    alert_id="a1",
    batch_id="b",
    execution=1,
    kind=AlertKind.NO_PROGRESS,
    level=Level.CRITICAL,
    about="",
    text="nothing moves",
    raised_at=10.0,
    seen_at=10.0,
)


@pytest.fixture
def alerts(store_url):
    compose.open_store(store_url).close()
    opened = compose.open_alerts(store_url)
    yield opened
    opened.close()


def test_an_alert_is_kept_and_changed(alerts):
    """All its fields come back; the newest state counts."""
    alerts.put(ALERT)
    assert alerts.alerts("b") == [ALERT]
    told = replace(ALERT, pages=1, paged_at=11.0, channel="ops", occurrences=2)
    alerts.put(told)
    assert alerts.recent(0.0) == [told]
    assert alerts.alerts("other") == []


def test_one_alert_at_a_time_stands_for_an_incident(alerts):
    """Two processes that notice the same keep one; after its end there may be another."""
    alerts.put(ALERT)
    alerts.put(replace(ALERT, alert_id="a2", raised_at=12.0))
    assert [one.alert_id for one in alerts.alerts()] == ["a1"]
    alerts.put(replace(ALERT, resolved_at=20.0))
    alerts.put(replace(ALERT, alert_id="a3", raised_at=30.0))
    assert [one.alert_id for one in alerts.alerts()] == ["a3", "a1"]
    assert [one.alert_id for one in alerts.recent(since=25.0)] == ["a3"]
    assert [one.alert_id for one in alerts.recent(since=15.0)] == ["a1", "a3"]


def test_the_first_to_acknowledge_counts_and_no_later_state_undoes_it(alerts):
    """The process that alerts may not have heard of it yet."""
    alerts.put(ALERT)
    assert alerts.acknowledge("a1", 15.0, "me@here")
    assert alerts.acknowledge("a1", 16.0, "you@there")
    assert not alerts.acknowledge("nosuch", 15.0, "me@here")
    alerts.put(replace(ALERT, pages=2))
    (kept,) = alerts.alerts()
    assert (kept.acknowledged_at, kept.acknowledged_by, kept.pages) == (15.0, "me@here", 2)


def test_silences_end_by_themselves_or_all_at_once(alerts):
    """Only those in force are told."""
    short, long = Silence(batch="b*", until=20.0, by="me", reason="r"), Silence(kind="storage-*", until=90.0)
    alerts.silence(short)
    alerts.silence(long)
    assert list(alerts.silences(10.0)) == [short, long]
    assert list(alerts.silences(20.0)) == [long]
    assert alerts.end_silences(30.0) == 1
    assert list(alerts.silences(30.0)) == []
