"""How a run begins from what is recorded, and how it ends in what is to be recorded.

Pure: clocks and chance are handed in. The execution and the simulator begin and end their runs with it.
"""

from collections.abc import Callable, Collection, Sequence

from msgspec.structs import replace

from everyitem.engine.deferrals import OpenDeferral
from everyitem.engine.events import terminal_event
from everyitem.engine.ledger import Mark
from everyitem.engine.messages import Ending, Verdict
from everyitem.engine.recorder import Recorder
from everyitem.engine.retries import PendingAttempt
from everyitem.engine.state import ExecutionState
from everyitem.engine.suspects import NOBODY
from everyitem.model.configuration import ProcessingConfiguration
from everyitem.model.plan import Partition
from everyitem.model.status import ExecutionStatus, may_move
from everyitem.ports.checkpoint import Commit, Counters
from everyitem.ports.execution import ExecutionRecord, Recorded
from everyitem.ports.started import Suspicion


def counters_at_start(recorded: Recorded, *, begins_round: bool, recovering: bool) -> Counters:
    """The totals a run goes on from.

    `begins_round`: no segment of this round is recorded yet; `recovering`: nobody asked for this run, so it
    goes on in the window of the run that died.
    """
    before = recorded.counters
    # attempts used up in this round were counted in it, though none of its outcomes may be recorded yet
    has_retried = any(retry.attempts for retry in recorded.retries)
    return replace(
        before,
        # a redrive has opened failed items again: the ledger says how many count as failed now
        succeeded=recorded.ledger.count(Mark.SUCCEEDED),
        failed=recorded.ledger.count(Mark.FAILED),
        retried=0 if begins_round and not has_retried else before.retried,
        window_ms=before.window_ms if recovering else before.active_ms,
    )


def wall_at_start(record: ExecutionRecord, wall: float) -> float:
    """The time of day (epoch seconds) a run begins at, by which the due times of retries are understood.

    It is never before what the execution's record has seen already: a clock that was set back must not make
    a retry wait for the day it was set back by.
    """
    seen = record.progress.at if record.progress is not None else 0.0
    return max(wall, record.last_checkpoint_at or 0.0, seen)


def begin_run(
    configuration: ProcessingConfiguration,
    recorded: Recorded,
    counters: Counters,
    *,
    nodes: Sequence[tuple[str, int]],
    partitions: Sequence[Partition],
    at: float,
    wall: float,
    chance: Callable[[], float],
    isolating: Collection[str] = (),
    unit: int = 1,
    suspicion: Suspicion = NOBODY,
    allocated: Sequence[tuple[str, int]] = (),
    least: int = 1,
    version: int = 0,
) -> ExecutionState:
    """The state machine of a run over what has no outcome yet; what is recorded as in doubt stays so.

    `at` (monotonic) and `wall` (epoch seconds) are the same moment; the rest is as for `ExecutionState`.
    """
    used = (counters.active_ms - counters.window_ms) / 1000
    return ExecutionState(
        configuration,
        recorded=recorded.ledger,
        nodes=nodes,
        partitions=partitions,
        at=at,
        chance=chance,
        pending=[
            PendingAttempt(one.index, one.attempts, max(0.0, one.due - wall), one.alone)
            for one in recorded.retries
        ],
        recorder=Recorder(
            configuration,
            at=at,
            counters=counters,
            pending=frozenset(one.index for one in recorded.retries),
            deferred=[(one.index, one.attempt) for one in recorded.deferrals],
        ),
        deadline=at + max(0.0, configuration.timeout - used),
        unit=unit,
        allocated=allocated,
        least=least,
        version=version,
        isolating=isolating,
        suspicion=suspicion,
        intents=recorded.intents,
        deferred=[
            OpenDeferral(one.index, one.attempt, at + one.due - wall, one.duration_us)
            for one in recorded.deferrals
        ],
    )


def active_milliseconds(before: Counters, state: ExecutionState, at: float) -> int:
    """Active milliseconds over all runs by `at`; `before` are the totals the run went on from."""
    return before.active_ms + round(state.active_seconds(at) * 1000)


def counters_at_end(before: Counters, state: ExecutionState, at: float) -> Counters:
    """The totals over all runs, this one included."""
    return replace(
        before,
        succeeded=state.ledger.succeeded,
        failed=state.ledger.failed,
        retried=before.retried + state.accounting.retried,
        steals=before.steals + state.dealer.queues.steals,
        busy_us=before.busy_us + state.accounting.busy_us,
        active_ms=active_milliseconds(before, state, at),
        checkpoints=state.recorder.checkpoints,
    )


def status_at_end(verdict: Verdict, counters: Counters, *, success: bool) -> ExecutionStatus:
    """The state an execution is left in; `success` is what the response says."""
    status = verdict.status
    if status is not ExecutionStatus.COMPLETED:
        return status
    if not success:
        return ExecutionStatus.FAILED
    return ExecutionStatus.COMPLETED_WITH_ERRORS if counters.failed else status


def failing_commits(record: ExecutionRecord, *, response: bytes, at: float) -> list[Commit]:
    """The transactions that end an execution at rest with an `ERROR` nobody was left to give.

    `at` are epoch seconds.
    """
    end = Commit(
        status=ExecutionStatus.FAILED,
        response=response,
        events=[terminal_event(record, response=response, success=False, at=at)],
    )
    # what was stopped fails as what ran: by way of running
    is_legal = may_move(record.status, end.status or ExecutionStatus.FAILED)
    return [end] if is_legal else [Commit(status=ExecutionStatus.RUNNING), end]


def closing_commit(
    record: ExecutionRecord,
    counters: Counters,
    verdict: Verdict,
    *,
    response: bytes = b"",
    success: bool = False,
    at: float,
) -> Commit:
    """The last transaction of a run: its end, and but for an interruption its response and terminal event.

    `at` are epoch seconds.
    """
    if verdict.ending is Ending.INTERRUPTED:
        return Commit(counters=counters, status=ExecutionStatus.INTERRUPTED)
    return Commit(
        counters=counters,
        status=status_at_end(verdict, counters, success=success),
        response=response,
        events=[terminal_event(record, response=response, success=success, at=at)],
    )
