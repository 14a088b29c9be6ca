"""What `watch` shows: a snapshot put together from what the owner of an execution leaves in the store."""

import time
from collections import Counter

from everyitem.engine.progress import Snapshot
from everyitem.faces.api.views import Status
from everyitem.model.causes import cause_of
from everyitem.ports.execution import ExecutionRecord
from everyitem.ports.store import Store


def snapshot_of(record: ExecutionRecord, causes: tuple[tuple[str, int], ...]) -> Snapshot:
    """The execution as its owner last described it; what each worker does is known to the owner alone."""
    status, progress = Status.of(record), record.progress if record.owned else None
    return Snapshot(
        at=time.monotonic(),
        batch_id=record.batch_id,
        execution=record.execution,
        round=record.round,
        status=status.state,
        items=status.items,
        succeeded=status.succeeded,
        failed=status.failed,
        open=status.open,
        in_flight=status.in_flight,
        retries_waiting=status.retries_waiting,
        deferred=status.deferred,
        retried=record.counters.retried,
        steals=record.counters.steals,
        rate_per_second=status.rate_per_second,
        eta_seconds=status.eta_seconds,
        parallelism=progress.parallelism if progress else 0,
        checkpoints=record.counters.checkpoints,
        last_checkpoint_at=record.last_checkpoint_at,
        workers=(),
        failures_by_cause=causes,
        elapsed=(progress.active_ms if progress else record.counters.active_ms) / 1000,
    )


def failures_by_cause(store: Store, execution_key: int) -> tuple[tuple[str, int], ...]:
    """How many items failed for which reason, the most frequent first."""
    causes = Counter(cause_of(failed.type, failed.message) for failed in store.failures(execution_key))
    return tuple(causes.most_common())
