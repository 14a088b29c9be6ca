"""The states of an execution: every pair of them."""

import pytest

from everyitem.model.status import TRANSITIONS, ExecutionStatus, may_move


@pytest.mark.parametrize("start", ExecutionStatus)
@pytest.mark.parametrize("finish", ExecutionStatus)
def test_only_the_table_s_moves_are_legal(start, finish):
    """Staying is legal, and what the table lists; nothing else."""
    assert may_move(start, finish) is (start is finish or finish in TRANSITIONS[start])


def test_what_ended_in_success_without_failures_stays():
    """A completed execution never moves again."""
    assert TRANSITIONS[ExecutionStatus.COMPLETED] == frozenset()


@pytest.mark.parametrize("stopped", ["INTERRUPTED", "FAILED", "CANCELLED", "QUEUED", "PAUSED"])
def test_what_stopped_early_can_go_on(stopped):
    """Every unfinished state is resumable."""
    assert may_move(ExecutionStatus(stopped), ExecutionStatus.RUNNING)


def test_finished_and_active_are_what_they_say():
    """Finished: every item has an outcome; active: a living owner is expected."""
    assert [one.value for one in ExecutionStatus if one.is_finished] == ["COMPLETED", "COMPLETED_WITH_ERRORS"]
    assert [one.value for one in ExecutionStatus if one.is_active] == ["RUNNING", "PAUSED"]
