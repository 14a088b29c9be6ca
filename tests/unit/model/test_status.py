"""The states of an execution: every pair of them."""

import pytest

from everyitem.model.status import TRANSITIONS, ExecutionStatus, may_move


@pytest.mark.parametrize("start", ExecutionStatus)
@pytest.mark.parametrize("finish", ExecutionStatus)
def test_only_the_table_s_moves_are_legal(start, finish):
    """Staying is legal, and what the table lists; nothing else."""
    assert may_move(start, finish) is (start is finish or finish in TRANSITIONS[start])


def test_what_is_finished_moves_by_running_again_only():
    """A redrive, or damage that was accepted; no end turns into another end."""
    for finished in (ExecutionStatus.COMPLETED, ExecutionStatus.COMPLETED_WITH_ERRORS):
        assert TRANSITIONS[finished] == {ExecutionStatus.RUNNING}


@pytest.mark.parametrize("stopped", ["INTERRUPTED", "FAILED", "CANCELLED", "QUEUED", "PAUSED"])
def test_what_stopped_early_can_go_on(stopped):
    """Every unfinished state is resumable."""
    assert may_move(ExecutionStatus(stopped), ExecutionStatus.RUNNING)


def test_finished_and_active_are_what_they_say():
    """Finished: every item has an outcome; active: a living owner is expected."""
    assert [one.value for one in ExecutionStatus if one.is_finished] == ["COMPLETED", "COMPLETED_WITH_ERRORS"]
    assert [one.value for one in ExecutionStatus if one.is_active] == ["RUNNING", "PAUSED"]
