"""What is wrong with a run, from how it is: thresholds, and what resets them."""

from msgspec.structs import replace

from everyitem.engine.alerts.rules import RunWatch, is_deadline_at_risk, outbox_stuck
from everyitem.model.alerts import AlertKind, Condition
from everyitem.model.figures import Availability, Figures, Timings
from everyitem.model.status import ExecutionStatus
from everyitem.ports.monitoring import Outbox
from everyitem.ports.observer import Vitals
from everyitem.settings.alerting import Limits

LIMITS = Limits()


def vitals(succeeded=0, failed=0, items=100_000, **more):
    figures = more.pop("figures", Figures(window=14_400.0))
    return Vitals(
        batch_id="b",
        execution=1,
        status=more.pop("status", ExecutionStatus.RUNNING),
        items=items,
        succeeded=succeeded,
        failed=failed,
        open=items - succeeded - failed,
        figures=figures,
        **more,
    )


def watch():
    return RunWatch(LIMITS, 0.0)


def kinds(conditions):
    return {condition.kind for condition in conditions}


def test_a_healthy_run_has_nothing_wrong_with_it():
    """Thousands of looks at good progress and a few failures: no alert."""
    run = watch()
    for second in range(5000):
        assert run.look(float(second), vitals(succeeded=10 * second, failed=second // 50)) == []
    assert run.end("", "") == []


def test_the_deadline_is_at_risk_at_eighty_percent_with_a_forecast_beyond():
    """Both are needed (F42); no forecast at that point is a risk as well."""
    late = Figures(window=14_400.0, window_used=0.8 * 14_400)
    early = replace(late, window_used=0.79 * 14_400)
    assert is_deadline_at_risk(vitals(figures=late, eta_seconds=2881.0))
    assert not is_deadline_at_risk(vitals(figures=late, eta_seconds=2879.0))
    assert not is_deadline_at_risk(vitals(figures=early, eta_seconds=99_999.0))
    assert is_deadline_at_risk(vitals(figures=late, eta_seconds=None))
    assert not is_deadline_at_risk(vitals(succeeded=100_000, figures=late))
    (found,) = watch().look(0.0, vitals(figures=late, eta_seconds=9000.0))
    assert found.kind is AlertKind.DEADLINE_AT_RISK
    assert "80%" in found.text


def test_a_paused_batch_makes_no_progress_and_is_at_no_risk():
    """It was asked to rest."""
    run = watch()
    late = Figures(window=100.0, window_used=90.0)
    for second in range(0, 4000, 100):
        assert run.look(float(second), vitals(status=ExecutionStatus.PAUSED, figures=late)) == []


def test_no_progress_counts_from_the_last_outcome():
    """One outcome is progress."""
    run = watch()
    run.look(0.0, vitals(succeeded=1))
    assert run.look(299.0, vitals(succeeded=1)) == []
    assert kinds(run.look(300.0, vitals(succeeded=1))) == {AlertKind.NO_PROGRESS}
    assert run.look(301.0, vitals(succeeded=2)) == []


def test_outcomes_that_wait_for_a_checkpoint_for_long_are_said():
    """Where nothing waits, or checkpoints come, nothing is wrong."""
    run = watch()
    for second in range(0, 600, 10):
        assert run.look(float(second), vitals(succeeded=second, is_unsaved=False)) == []
    for second in (601, 709):
        assert run.look(float(second), vitals(succeeded=second, is_unsaved=True)) == []
    assert kinds(run.look(721.0, vitals(succeeded=800, is_unsaved=True))) == {AlertKind.CHECKPOINT_FAILING}
    saved = Figures(checkpoint=Timings(1, 0.1, 0.1, 0.1))
    assert run.look(722.0, vitals(succeeded=801, is_unsaved=True, figures=saved)) == []


def test_failures_that_become_many_are_said_and_those_that_always_were_are_not():
    """A jump is several times the share before."""
    run = watch()
    for second in range(300):
        assert run.look(float(second), vitals(succeeded=100 * second)) == []
    found = [run.look(300.0 + second, vitals(succeeded=30_000, failed=50 * second)) for second in range(60)]
    assert kinds(found[-1]) == {AlertKind.FAILURE_RATE_JUMP}
    steady = watch()
    for second in range(600):
        conditions = steady.look(float(second), vitals(succeeded=70 * second, failed=30 * second))
        assert second < 70 or conditions == []


def test_a_tolerance_that_is_exceeded_lasts_beyond_the_run():
    """Somebody has to look at the failed items."""
    run = watch()
    assert run.look(0.0, vitals(failed=5, tolerated=5)) == []
    assert kinds(run.look(1.0, vitals(failed=6, tolerated=5))) == {AlertKind.TOLERANCE_EXCEEDED}
    assert kinds(run.end("", "")) == {AlertKind.TOLERANCE_EXCEEDED}


def test_the_store_is_held_to_its_two_seconds_and_its_availability():
    """Specification, section 8: 2 s response, 99.9 %."""
    slow = Figures(store=Timings(9, 3.0, 2.1, 2.1))
    assert kinds(watch().look(0.0, vitals(figures=slow))) == {AlertKind.STORAGE_SLOW}
    away = Figures(store_availability=Availability(up=998.0, down=2.0))
    assert kinds(watch().look(0.0, vitals(figures=away))) == {AlertKind.STORAGE_AVAILABILITY}
    brief = Figures(store_availability=Availability(up=0.5, down=0.5))
    assert watch().look(0.0, vitals(figures=brief)) == []


def test_a_store_that_does_not_answer_is_said_while_it_is_away():
    """A moment is the engine's business, ten seconds are somebody's."""
    run = watch()
    assert run.look(0.0, vitals(store_is_away=True)) == []
    assert kinds(run.look(10.0, vitals(succeeded=1, store_is_away=True))) == {AlertKind.STORAGE_AWAY}
    assert run.look(11.0, vitals(succeeded=2)) == []


def test_nodes_are_held_to_their_availability_and_a_lost_one_is_said():
    """Specification, section 8: 99.95 %. Failures of earlier runs are history."""
    gone = Figures(node_availability=Availability(up=9_990.0, down=10.0))
    assert kinds(watch().look(0.0, vitals(figures=gone))) == {AlertKind.NODE_AVAILABILITY}
    run = watch()
    assert run.look(0.0, vitals(figures=Figures(nodes_failed=3))) == []
    one_more = vitals(succeeded=1, figures=Figures(nodes_failed=4))
    assert kinds(run.look(1.0, one_more)) == {AlertKind.NODE_FAILED}


def test_how_a_run_ends_is_critical_where_the_system_is_at_fault():
    """What the document asked for, or the items did, is a warning; secrets are hidden."""
    for code in ("SYSTEM_ERROR", "RESOURCE_ERROR", "TIMEOUT_ERROR"):
        (found,) = watch().end(code, "cannot reach postgresql://me:canary@db/x")
        assert (found.kind, found.level) == (AlertKind.CRITICAL_ERROR, "critical")
        assert "canary" not in found.text
    (found,) = watch().end("ITEM_ERROR", "stopped at the first item that failed for good")
    assert (found.kind, found.level) == (AlertKind.RUN_FAILED, "warning")


def test_what_others_notice_stands_until_they_take_it_back():
    """A breaker, a mismatch: facts from elsewhere."""
    run = watch()
    breaker = Condition(AlertKind.BREAKER_OPEN, "most items fail alike", "prices")
    mismatch = Condition(AlertKind.CONTROL_TOTALS_MISMATCH, "12.50 is missing", "amount")
    run.notice(breaker, stands=True)
    run.notice(mismatch, stands=True)
    assert set(run.look(0.0, vitals())) == {breaker, mismatch}
    run.notice(breaker, stands=False)
    assert run.look(1.0, vitals()) == [mismatch]
    assert run.end("", "") == [mismatch]


def test_events_that_wait_too_long_are_said():
    """The oldest unpublished one counts (F17)."""
    assert outbox_stuck(Outbox(), 1000.0) is None
    assert outbox_stuck(Outbox(9, 800.0), 1000.0) is None
    stuck = outbox_stuck(Outbox(1200, 600.0), 1000.0)
    assert stuck.kind is AlertKind.OUTBOX_STUCK
    assert "1,200 events" in stuck.text
