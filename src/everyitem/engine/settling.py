"""Items in doubt, settled by a person: the outcome a decision stands for, and settling where nobody runs."""

from msgspec.structs import replace

from everyitem.engine.events import checkpoint_created
from everyitem.engine.totals import RunningTotals
from everyitem.model.errors import ErrorCode, UsageError
from everyitem.model.items import Items, item_id_of
from everyitem.model.outcome import Failure, Successes
from everyitem.ports.checkpoint import Commit, PendingRetry, SegmentDraft
from everyitem.ports.doubt import Decision, Settlement
from everyitem.ports.execution import ExecutionRecord, Recorded
from everyitem.ports.outcome import FailedItem
from everyitem.ports.store import Ownership

#: The type of a failure somebody vouches for.
SETTLED_AS_FAILED = "SettledAsFailed"


def settled_success(settlement: Settlement) -> Successes:
    """The success a person vouches for."""
    return Successes([(settlement.index, 1)], settlement.attempt, [0], b"[" + settlement.result + b"]")


def settled_failure(settlement: Settlement) -> Failure:
    """The final failure a person vouches for."""
    return Failure(
        settlement.index,
        settlement.attempt,
        ErrorCode.ITEM_ERROR,
        SETTLED_AS_FAILED,
        settlement.reason or f"settled as failed by {settlement.by}",
        permanent=True,
        final=True,
    )


def settle_at_rest(
    ownership: Ownership, record: ExecutionRecord, recorded: Recorded, items: Items, asked: Settlement
) -> None:
    """Record a decision about an item in doubt of an execution that nobody carries out.

    Raises `UsageError` when the item is not in doubt, `StoreError` when it cannot be recorded.
    """
    doubt = next((one for one in recorded.intents if one.index == asked.index), None)
    if doubt is None:
        raise UsageError("the item is not in doubt (any more); see `everyitem explain`")
    settlement = replace(asked, attempt=doubt.attempt, doubt=asked.doubt or doubt.doubt)
    segment = SegmentDraft([], [], settlements=[settlement])
    now, before = asked.at, recorded.counters
    commit = Commit(segments=[segment], intents_cleared=[asked.index])
    match settlement.decision:
        case Decision.SUCCEEDED:
            segment.successes.append(settled_success(settlement))
            commit.retries_cleared = [asked.index]
        case Decision.FAILED:
            failure = settled_failure(settlement)
            segment.failures.append(failure)
            commit.failed = [_row(failure, items)]
            commit.retries_cleared = [asked.index]
        case Decision.AGAIN:
            alone = any(one.alone for one in recorded.retries if one.index == asked.index)
            commit.retries_set = [PendingRetry(asked.index, doubt.attempt, now, alone)]
    totals = RunningTotals(items, before.totals)
    totals.record(segment)
    commit.counters = replace(
        before,
        succeeded=before.succeeded + segment.succeeded,
        failed=before.failed + segment.failed,
        checkpoints=before.checkpoints + 1,
        totals=dict(totals.balances),
    )
    commit.events = [
        checkpoint_created(
            record,
            sequence=recorded.last_sequence + 1,
            succeeded=segment.succeeded,
            failed=segment.failed,
            totals=totals.balances,
            at=now,
        )
    ]
    ownership.commit(commit)


def _row(failure: Failure, items: Items) -> FailedItem:
    return FailedItem(
        index=failure.index,
        item_id=item_id_of(items.text((failure.index,))[1:-1], failure.index),
        attempts=failure.attempt,
        code=failure.code,
        type=failure.type,
        message=failure.message,
        duration_ms=0.0,
    )
