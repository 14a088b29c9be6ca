"""The last step: gather the facts of an ended run and answer (specification section 4, step 7).

Nothing is believed that can be looked up: counts are derived again from the segments, the chain is walked
once more, and the items are hashed as they were executed.
"""

import logging
import time
from collections.abc import Callable

from msgspec.structs import replace

from everyitem.engine.messages import Ending, Verdict
from everyitem.model.alerts import AlertKind, Condition
from everyitem.model.batch import ProcessingBatch
from everyitem.model.checks import ExecutionFacts
from everyitem.model.errors import ErrorCode, Problem, StoreError
from everyitem.model.figures import Figures
from everyitem.model.items import Items, digest_of, item_id_of
from everyitem.model.response import ExecutionFailure, Response, consolidate
from everyitem.model.totals import ControlTotal, derive
from everyitem.ports.checkpoint import Counters
from everyitem.ports.doubt import Intent
from everyitem.ports.execution import ExecutionRecord
from everyitem.ports.store import Store

_log = logging.getLogger("everyitem")


def answer(
    store: Store,
    record: ExecutionRecord,
    batch: ProcessingBatch,
    counters: Counters,
    verdict: Verdict,
    figures: Figures = Figures(),
    *,
    notice: Callable[[Condition], None] = lambda _: None,
) -> Response:
    """The response to a run that ended with `verdict`; `counters` and `figures` are those of all runs.

    `notice` is told of control totals that do not add up.
    """
    faults: list[str] = []
    recount, sample = Counters(), list[int]()
    segments = 0
    totals = {name: ControlTotal(balance) for name, balance in counters.totals.items()}
    try:
        ledger = store.recorded(record.execution_key).ledger
        segments = sum(1 for _ in store.segments(record.execution_key))
        recount, sample = store.recount(record.execution_key)
        totals = _totals(store, record, batch, counters, ledger)
    except StoreError as error:
        faults.append(str(error))
    if verdict.ending is Ending.STORE_FAILED:
        # only what is in the store has happened: what was counted in memory will run again
        counters = replace(counters, succeeded=recount.succeeded, failed=recount.failed, checkpoints=segments)
        totals = {name: total.as_recorded() for name, total in totals.items()}
    resources = batch.resources
    facts = ExecutionFacts(
        items=len(batch.items),
        succeeded=counters.succeeded,
        failed=counters.failed,
        retried=counters.retried,
        steals=counters.steals,
        active_ms=counters.active_ms,
        busy_us=counters.busy_us,
        checkpoints=counters.checkpoints,
        segments=segments,
        runs=record.runs,
        slots=resources.slots,
        parallelism=min(batch.configuration.parallelism, resources.slots),
        adapts=batch.configuration.adapts,
        recounted_succeeded=recount.succeeded,
        recounted_failed=recount.failed,
        accepted_digest=batch.items.digest,
        executed_digest=digest_of(batch.items),
        durations_us=sample,
        store_faults=faults,
        totals=totals,
        tolerated=batch.configuration.tolerated_failures(len(batch.items)),
        warnings=len(batch.warnings),
        store_availability=figures.store_availability.share,
        node_availability=figures.node_availability.share,
    )
    for name, total in totals.items():
        if fault := total.fault(name):
            _log.error("the control totals of batch %r do not add up: %s", record.batch_id, fault)
            notice(Condition(AlertKind.CONTROL_TOTALS_MISMATCH, f"control totals: {fault}", name))
    return consolidate(facts, ended_at=time.time(), failure=_failure(verdict, batch.items))


def _totals(
    store: Store, record: ExecutionRecord, batch: ProcessingBatch, counters: Counters, ledger: bytearray
) -> dict[str, ControlTotal]:
    """Every control total as it was carried along, and as it is derived from the items and the segments."""
    accepted = store.items(record.execution_key, round_=1) if record.round > 1 and counters.totals else None
    totals = {}
    for name, balance in counters.totals.items():
        derived = derive(name, batch.items, ledger)
        totals[name] = ControlTotal(
            balance,
            derived.balance,
            derived.gaps,
            accepted=None if accepted is None else derive(name, accepted, ledger).balance.input,
        )
    return totals


def _failure(verdict: Verdict, items: Items) -> ExecutionFailure | None:
    if verdict.ending is Ending.COMPLETED:
        return None
    return ExecutionFailure(
        code=verdict.code or ErrorCode.SYSTEM_ERROR,
        message=verdict.message,
        causes=verdict.causes or [_doubt(doubt, items) for doubt in verdict.doubts],
    )


def _doubt(doubt: Intent, items: Items) -> Problem:
    item_id = item_id_of(items.text((doubt.index,))[1:-1], doubt.index)
    message = f"item {item_id!r} is in doubt since attempt {doubt.attempt}: {doubt.doubt}"
    return Problem(f"$.batchItems[{doubt.index}]", message, ErrorCode.SYSTEM_ERROR)
