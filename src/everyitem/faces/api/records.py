"""Everything one can look at in a store; none of it changes anything."""

import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from types import TracebackType
from typing import Self

from everyitem import compose
from everyitem.engine.progress import Snapshot
from everyitem.engine.vitals import vitals_of
from everyitem.faces.api.explanation import Explanation, explain_item
from everyitem.faces.api.forecast import Measured
from everyitem.faces.api.report.facts import Report
from everyitem.faces.api.report.gathering import gather
from everyitem.faces.api.response import Response
from everyitem.faces.api.retention import kept
from everyitem.faces.api.views import (
    AlertView,
    Checkpoint,
    Deed,
    Event,
    Failed,
    ItemResult,
    Status,
    Verification,
)
from everyitem.faces.api.watching import failures_by_cause, snapshot_of
from everyitem.model.alerts import Level
from everyitem.model.errors import UnknownBatch, UsageError
from everyitem.model.identity import names
from everyitem.model.store_url import shown_url
from everyitem.ports.execution import ExecutionRecord
from everyitem.ports.observer import Overview
from everyitem.ports.outcome import Outcome
from everyitem.ports.store import OnDamage, Store
from everyitem.settings import Origin, Settings
from everyitem.work.texts import is_storable

#: Identities a message lists.
_MOST_NAMED = 5


class Records:
    """What a store holds. Methods take `execution=` to choose an earlier one; the latest is the default."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._reader: Store | None = None
        #: URL of the store; may hold a password (`model.store_url.shown_url`).
        self.store_url = settings.store or compose.default_store_url()

    @property
    def is_default_store(self) -> bool:
        """Whether nobody chose the store."""
        return self._settings.origin("store") is Origin.DEFAULT

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the configuration file says that nobody understands."""
        return tuple(map(str, self._settings.warnings))

    def close(self) -> None:
        """Free the connection."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def list(self) -> Sequence[Status]:
        """Every execution in the store, newest first."""
        try:
            store = self._looking
        except UsageError:
            if self.is_default_store:  # nothing was ever executed here
                return []
            raise
        return [Status.of(record) for record in store.executions()]

    def status(self, batch_id: str, *, execution: int | None = None) -> Status:
        """Where an execution stands, also while another process runs it."""
        return Status.of(self._record(batch_id, execution))

    def snapshot(self, batch_id: str, *, execution: int | None = None) -> Snapshot:
        """The progress of an execution as `on_progress` would show it, whichever process runs it."""
        record = self._record(batch_id, execution)
        return snapshot_of(record, failures_by_cause(self._looking, record.execution_key))

    def causes(self, batch_id: str, *, execution: int | None = None) -> Sequence[tuple[str, int]]:
        """How many items failed for which reason, the most frequent first."""
        return failures_by_cause(self._looking, self._record(batch_id, execution).execution_key)

    def response(self, batch_id: str, *, execution: int | None = None) -> Response | None:
        """The recorded response; None while there is none."""
        record = self._record(batch_id, execution)
        return None if record.response is None else self._recorded(record)

    def results(
        self, batch_id: str, *, execution: int | None = None, on_damage: OnDamage | None = None
    ) -> Iterator[ItemResult]:
        """Every recorded outcome in item order, streamed.

        Raises `StoreDamaged` when a checkpoint is damaged; with `on_damage` each one is told to it instead,
        and its items are left out.
        """
        record = kept(self._record(batch_id, execution))
        return map(ItemResult.of, self._looking.outcomes(record.execution_key, on_damage=on_damage))

    def outcomes(self, batch_id: str) -> Iterator[Outcome]:
        """What `results` tells, as the store has it: with the round each outcome is of."""
        return self._looking.outcomes(kept(self._record(batch_id, None)).execution_key)

    def failures(self, batch_id: str, *, execution: int | None = None, after: int = -1) -> Iterator[Failed]:
        """The items that count as failed now, with the items themselves, in item order.

        Only those behind the index `after`.
        """
        record = kept(self._record(batch_id, execution))
        return map(Failed.of, self._looking.failures(record.execution_key, with_items=True, after=after))

    def in_doubt(self, batch_id: str, *, execution: int | None = None) -> Sequence[Failed]:
        """At-most-once items that may have been called and have no outcome: `settle` them."""
        record = self._record(batch_id, execution)
        intents = self._looking.intents(record.execution_key)
        items = self._looking.items(record.execution_key) if intents else None
        return [
            Failed.in_doubt(intent, items.text((intent.index,))[1:-1])
            for intent in intents
            if items is not None and (intent.doubt or not record.owned)
        ]

    def explain(
        self,
        batch_id: str,
        item_id: str,
        *,
        execution: int | None = None,
        on_damage: OnDamage | None = None,
    ) -> Explanation:
        """The whole story of one item: every attempt over all rounds, its errors and its log.

        `on_damage` as for `results`.
        """
        record = kept(self._record(batch_id, execution))
        return explain_item(self._looking, record, item_id, on_damage=on_damage)

    def checkpoints(self, batch_id: str, *, execution: int | None = None) -> Iterator[Checkpoint]:
        """The durable points of an execution, oldest first."""
        record = kept(self._record(batch_id, execution))
        return map(Checkpoint.of, self._looking.segments(record.execution_key))

    def average_item_time(self, processor: str) -> float | None:
        """Milliseconds an item took in this item processor's latest finished execution; None without one."""
        latest = self._latest_finished(processor)
        return None if latest is None else latest.counters.busy_us / 1000 / _outcomes(latest)

    def _history(self, processor: str) -> Measured | None:
        """What items took in this item processor's latest finished execution; None without one."""
        try:
            latest = self._latest_finished(processor)
        except UsageError:
            return None
        if latest is None:
            return None
        counters = latest.counters
        achieved = counters.busy_us / 1000 / max(1, counters.active_ms)
        return Measured(
            parallelism=max(1, round(achieved)),
            seconds=[counters.busy_us / 1e6 / _outcomes(latest)],
            failed=counters.failed,
        )

    def _latest_finished(self, processor: str) -> ExecutionRecord | None:
        for record in self._looking.executions():
            if record.processor == processor and record.status.is_finished and _outcomes(record):
                return record
        return None

    def report(self, batch_id: str, *, execution: int | None = None) -> Report:
        """Everything one has to know of an execution to sign for it, checked anew; reads all of it once.

        Raises:
            UsageError: its items and outcomes were pruned.
        """
        record = kept(self._record(batch_id, execution))
        return gather(self._looking, record, store_url=self.store_url)

    def verify(self, batch_id: str, *, execution: int | None = None) -> Verification:
        """Check everything stored of an execution against its digests; reads only."""
        record = kept(self._record(batch_id, execution))
        faults = self._looking.verify(record.execution_key)
        return Verification(
            batch_id=record.batch_id,
            execution=record.execution,
            sound=not faults,
            faults=tuple(f"{fault.record}: {fault.message}" for fault in faults),
        )

    def events(
        self,
        batch_id: str,
        *,
        after: int = 0,
        execution: int | None = None,
        limit: int | None = None,
        without: Collection[str] = (),
    ) -> Sequence[Event]:
        """The events behind outbox position `after`, in order; at most `limit`, none of types `without`."""
        record = kept(self._record(batch_id, execution))
        found = self._looking.events(record.execution_key, after, limit=limit, without=without)
        return list(map(Event.of, found))

    def alerts(self, batch_id: str | None = None, *, limit: int = 100) -> Sequence[AlertView]:
        """The latest alerts, of one batch or of all, newest first."""
        try:
            store = compose.open_alerts(self.store_url, read_only=True)
        except UsageError:
            if self.is_default_store:  # nothing was ever executed here
                return []
            raise
        try:
            return [AlertView.of(alert) for alert in store.alerts(batch_id, limit=limit)]
        finally:
            store.close()

    def overview(self) -> Overview:
        """How the store is as a whole, and every execution somebody works on."""
        monitoring = compose.open_monitoring(self.store_url, read_only=True)
        try:
            outbox = monitoring.outbox()
            alerts = Counter(alert.level for alert in self.alerts() if alert.state != "resolved")
            return Overview(
                vitals=tuple(vitals_of(record) for record in monitoring.active() if record.owned),
                executions=monitoring.states(),
                alerts={level: alerts[level] for level in Level},
                outbox_events=outbox.count,
                outbox_oldest=max(0.0, time.time() - outbox.oldest) if outbox.oldest is not None else 0.0,
            )
        finally:
            monitoring.close()

    def metrics(self) -> bytes:
        """The same as text for Prometheus, whichever processes do the work.

        Raises `UsageError` where the extra `metrics` is not installed.
        """
        return compose.render_metrics(self.overview())

    def history(self, batch_id: str, *, execution: int | None = None) -> Sequence[Deed]:
        """What people did to an execution, oldest first."""
        record = self._record(batch_id, execution)
        with closing(compose.open_queue(self.store_url, read_only=True)) as queue:
            return [Deed.of(action) for action in queue.actions(record.execution_key)]

    @property
    def _looking(self) -> Store:
        """A read-only connection, opened when first needed."""
        if self._reader is None:
            self._reader = compose.open_store(self.store_url, read_only=True)
        return self._reader

    def record(self, batch_id: str, execution: int | None = None) -> ExecutionRecord:
        """An execution as stored.

        Raises:
            UnknownBatch: there is none.
        """
        return self._record(batch_id, execution)

    def _record(self, batch_id: str, execution: int | None) -> ExecutionRecord:
        record = None
        if is_storable(batch_id):
            record = self._looking.find(batch_id, execution) or self._namesake(batch_id, execution)
        if record is None:
            which = "" if execution is None else f"execution {execution} of "
            raise UnknownBatch(
                f"there is no {which}batch {batch_id!r} in {shown_url(self.store_url)}; see `everyitem list`"
            )
        return record

    def _namesake(self, batch_id: str, execution: int | None) -> ExecutionRecord | None:
        """The batch with this `batchId` that is known under a longer identity, where only one is.

        Raises:
            UsageError: several are; names them.
        """
        known = {one.batch_id for one in self._looking.executions() if names(batch_id, one.batch_id)}
        if len(known) > 1:
            raise UsageError(
                f"{len(known)} batches have the batchId {batch_id!r}; name one in full: "
                + ", ".join(map(repr, sorted(known)[:_MOST_NAMED]))
            )
        return self._looking.find(known.pop(), execution) if known else None

    def _recorded(self, record: ExecutionRecord, *, warnings: Sequence[str] = ()) -> Response:
        assert record.response is not None
        return Response(
            record.response,
            store_url=self.store_url,
            batch_id=record.batch_id,
            execution=record.execution,
            execution_key=record.execution_key,
            warnings=warnings,
        )


def _outcomes(record: ExecutionRecord) -> int:
    return record.counters.succeeded + record.counters.failed
