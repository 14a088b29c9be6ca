"""Giving up what is stored of executions that finished long ago: the policy, and what is left to say."""

import logging
import time
from collections.abc import Callable, Sequence

from everyitem import compose
from everyitem.faces.api.views import View, moment
from everyitem.model.errors import StoreError, UsageError
from everyitem.ports.execution import ExecutionRecord
from everyitem.ports.retention import Expired

_log = logging.getLogger("everyitem")

_DAY = 86_400.0
#: What a run gives up at its end at most: its user waits for the response, not for our housekeeping.
MOST_AT_ONCE, MOST_SECONDS = 20, 1.0


class PrunedExecution(View, frozen=True, kw_only=True):
    """A finished execution whose items, outcomes, checkpoints and events are given up."""

    batch_id: str
    execution: int
    items: int
    finished_at: str | None

    @classmethod
    def of(cls, expired: Expired) -> "PrunedExecution":
        return cls(
            batch_id=expired.batch_id,
            execution=expired.execution,
            items=expired.item_count,
            finished_at=moment(expired.finished_at),
        )


def prune(
    store_url: str,
    days: float,
    *,
    dry_run: bool = False,
    limit: int | None = None,
    may_go_on: Callable[[], bool] = lambda: True,
) -> Sequence[PrunedExecution]:
    """Give up what is stored of executions that finished more than `days` ago; returns which ones.

    Those in use are passed over. With `dry_run` nothing is touched. `may_go_on` is asked before each.

    Raises:
        UsageError: there is no store; none is made.
        StoreError: the store cannot be written.
    """
    before = time.time() - days * _DAY
    pruned: list[PrunedExecution] = []
    retention = compose.open_retention(store_url)
    try:
        for one in retention.expired(finished_before=before, limit=limit):
            if not may_go_on():
                break
            if dry_run or retention.prune(one.execution_key, finished_before=before):
                pruned.append(PrunedExecution.of(one))
        if limit is None and not dry_run:
            # looks at all there are: not what a run's user should wait for
            retention.forget_events(received_before=before)
    finally:
        retention.close()
    return pruned


def prune_by_policy(store_url: str, days: float) -> None:
    """What a run does by itself at its end: a little, and never a reason to fail."""
    until = time.monotonic() + MOST_SECONDS
    try:
        pruned = prune(store_url, days, limit=MOST_AT_ONCE, may_go_on=lambda: time.monotonic() < until)
    except (StoreError, UsageError) as error:
        _log.warning("old results are kept for now: %s", error)
        return
    for one in pruned:
        _log.info(
            "results of batch %r (execution %d), finished %s, are pruned; its response is kept",
            one.batch_id,
            one.execution,
            one.finished_at,
        )


def kept(record: ExecutionRecord) -> ExecutionRecord:
    """The record, where what belongs to it is kept.

    Raises:
        UsageError: it was pruned; says since when, and what there still is.
    """
    if record.pruned_at is not None:
        raise UsageError(
            f"items and outcomes of batch {record.batch_id!r} (execution {record.execution}) were pruned on "
            f"{moment(record.pruned_at)}; its counts (`everyitem status`) and its response "
            "(`everyitem resume`) are kept, and `everyitem run DOCUMENT --rerun` executes it once more"
        )
    return record
