"""The checks of section 5: what each sees, and which of them decide."""

import msgspec
import pytest

from everyitem.model.checks import ExecutionFacts, check_execution
from everyitem.model.response import consolidate

SOUND = ExecutionFacts(
    items=10,
    succeeded=9,
    failed=1,
    retried=2,
    steals=0,
    active_ms=10_000,
    busy_us=18_000_000,
    checkpoints=3,
    segments=3,
    runs=1,
    slots=2,
    parallelism=2,
    recounted_succeeded=9,
    recounted_failed=1,
    accepted_digest="a" * 64,
    executed_digest="a" * 64,
)

#: The check that fails, the facts that make it fail, and words of its detail.
DECIDING = [
    ("completion_status", {"succeeded": 8, "recounted_succeeded": 8}, "1 item of 10 without an outcome"),
    ("result_consistency", {"retried": -1}, "retried is -1"),
    ("checkpoint_integrity", {"segments": 2}, "2 stored of 3 checkpoints created"),
    ("checkpoint_integrity", {"store_faults": ["segment 2: digest differs"]}, "segment 2"),
    ("item_integrity", {"executed_digest": "b" * 64}, "bbbb"),
    ("result_accuracy", {"recounted_failed": 2}, "2 failed"),
]


def test_a_sound_execution_passes_every_check():
    """Nine checks, all passed, each with something to say."""
    checks = msgspec.to_builtins(check_execution(SOUND))
    assert len(checks) == 9
    assert all(check["passed"] and check["detail"] for check in checks.values())


@pytest.mark.parametrize(("name", "facts", "words"), DECIDING, ids=lambda value: str(value)[:30])
def test_a_failing_deciding_check_makes_a_system_error(name, facts, words):
    """One of the first five failing turns a success into a SYSTEM_ERROR that names it."""
    changed = msgspec.structs.replace(SOUND, **facts)
    check = getattr(check_execution(changed), name)
    assert not check.passed
    assert words in check.detail
    printed = consolidate(changed, ended_at=0).to_dict()
    assert (printed["status"], printed["errorCode"]) == ("ERROR", "SYSTEM_ERROR")
    assert len(printed["details"]["systemErrors"]) == 1


def test_more_outcomes_than_items_are_inconsistent():
    """An item counted twice cannot hide."""
    checks = check_execution(msgspec.structs.replace(SOUND, succeeded=10, recounted_succeeded=10))
    assert not checks.result_consistency.passed
    assert not checks.completion_status.passed


def test_idle_resources_are_said_and_decide_nothing():
    """Utilisation is information: a success stays one."""
    idle = msgspec.structs.replace(SOUND, busy_us=1_000_000)
    assert not check_execution(idle).resource_utilization.passed
    assert consolidate(idle, ended_at=0).is_success


def test_a_short_run_is_not_judged_by_its_utilisation():
    """Below a second start-up weighs more than work."""
    short = msgspec.structs.replace(SOUND, active_ms=100, busy_us=1)
    assert check_execution(short).resource_utilization.passed


def test_slots_left_idle_on_purpose_are_no_fault() -> None:
    """Where the number is found while the batch runs, it is told and not judged."""
    facts = msgspec.structs.replace(SOUND, adapts=True, busy_us=1000, active_ms=10_000_000)
    found = check_execution(facts).resource_utilization
    assert found.passed
    assert "allocated slots busy on average" in found.detail
