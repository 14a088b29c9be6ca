"""Measuring: store and nodes over time, attempts as they come."""

import pytest

from everyitem.engine.meter import Meter, NodeMeter, StoreMeter
from everyitem.model.errors import ErrorCode
from everyitem.model.figures import Availability, Figures, Timings
from everyitem.model.outcome import Failure, OutcomeBlock, Successes
from everyitem.ports.node import HolderJoined, HolderLost, NodeFailed, SliceFinished

NOTHING = OutcomeBlock()


def meter_of(before=Figures(), **slots):
    return Meter(before, slots=slots or {"n": 2}, store=StoreMeter(), window_used=0.0, window=3600.0)


def figures_of(meter, at, failed=0):
    return meter.figures(at, busy=1, slots=2, failed=failed, steals=0, active=at)


def test_the_store_is_away_from_the_question_that_failed_to_the_one_that_is_answered():
    """The time between two tries counts, too."""
    store = StoreMeter()
    store.asked(0.0, 1.0, answered=True)
    store.asked(10.0, 12.0, answered=False)
    assert store.is_away
    store.asked(14.0, 15.0, answered=False)
    store.asked(19.0, 20.0, answered=True)
    assert not store.is_away
    answers, errors, availability = store.figures(101.0)
    assert (answers, errors) == (Timings(2, 2.0, 1.0, 1.0), 2)
    assert availability == Availability(up=90.0, down=10.0)


def test_an_outage_goes_on_counting_while_nobody_answers():
    """A look in the middle of it sees it."""
    store = StoreMeter()
    store.asked(0.0, 0.0, answered=True)
    store.asked(1.0, 2.0, answered=False)
    assert store.figures(4.0)[2] == Availability(up=1.0, down=3.0)


def test_a_lost_worker_is_missed_until_its_successor_is_there():
    """Each slot counts for itself."""
    nodes = NodeMeter(Availability(), {"n": 2})
    nodes.hear(HolderJoined(0.0, "n/1", "n", 1))
    nodes.hear(HolderJoined(0.0, "n/2", "n", 1))
    nodes.hear(HolderLost(10.0, "n/1", NOTHING, "died"))
    nodes.hear(HolderJoined(14.0, "n/3", "n", 1))
    assert nodes.availability(20.0) == Availability(up=36.0, down=4.0)


def test_a_node_that_failed_is_missed_with_all_its_slots():
    """Also one that never had a worker."""
    nodes = NodeMeter(Availability(), {"a": 3, "b": 1})
    nodes.hear(HolderJoined(0.0, "b", "b", 1, shared=True))
    nodes.hear(NodeFailed(0.0, "a", "no memory", ErrorCode.RESOURCE_ERROR))
    assert nodes.availability(10.0) == Availability(up=10.0, down=30.0)


def test_workers_that_go_at_the_end_are_not_missed():
    """A run that is over needs nobody."""
    meter = meter_of()
    meter.hear(HolderJoined(0.0, "n", "n", 2, shared=True))
    meter.end(10.0)
    meter.hear(HolderLost(10.0, "n", NOTHING, "interrupted"))
    figures = figures_of(meter, 50.0)
    assert figures.node_availability == Availability(up=20.0, down=0.0)
    assert figures.workers_lost == 0


def test_attempts_are_counted_with_their_time_and_what_is_retried_with_them():
    """A final failure is no retry."""
    meter = meter_of()
    failures = [Failure(index, 1, ErrorCode.ITEM_ERROR, "E", "", duration_us=1000) for index in (3, 4)]
    block = OutcomeBlock([Successes([(0, 3)], 1, [10, 10, 10], b"[1,1,1]")], failures)
    meter.hear(SliceFinished(1.0, "n", 1, block))
    figures = figures_of(meter, 1.0, failed=1)
    assert sum(figures.latency) == 5
    assert figures.latency_total == pytest.approx(0.00203)
    assert figures.retries == 1


def test_a_run_goes_on_from_what_the_runs_before_measured():
    """Totals are over all runs, slots are this run's."""
    store = StoreMeter()
    store.go_on_from(Figures(store=Timings(5, 1.0, 0.5, 0.1), store_errors=2))
    meter = meter_of(Figures(retries=4, workers_lost=1, latency_total=2.0, slots=99))
    meter.hear(SliceFinished(1.0, "n", 1, OutcomeBlock([Successes([(0, 1)], 1, [1_000_000], b"[1]")], [])))
    figures = figures_of(meter, 1.0)
    assert (figures.retries, figures.workers_lost, figures.latency_total, figures.slots) == (4, 1, 3.0, 2)
    assert store.figures(0.0)[:2] == (Timings(5, 1.0, 0.5, 0.1), 2)
