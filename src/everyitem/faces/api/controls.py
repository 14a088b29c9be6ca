"""What one can want of executions and of a store without carrying anything out here."""

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

from everyitem import compose
from everyitem.faces.api import alerting, settling, steering
from everyitem.faces.api.actor import local_actor
from everyitem.faces.api.incoming import Receipt, take_in
from everyitem.faces.api.records import Records
from everyitem.faces.api.retention import PrunedExecution, prune
from everyitem.faces.api.views import Status
from everyitem.model.configuration import Priority
from everyitem.model.errors import UsageError
from everyitem.ports.execution import ExecutionRecord
from everyitem.ports.queue import BatchQueue
from everyitem.ports.store import Store


class Controls(Records):
    """What a store holds, and what people do to it: whoever carries a batch out follows within a moment."""

    # `actor` is who asks, for the batch's history; the user and machine where it is not given

    def pause(self, batch_id: str, *, execution: int | None = None, actor: str | None = None) -> Status:
        """Pause an execution, in whatever process it runs or waits; returns where it stands then."""
        return self._steer(steering.pause, batch_id, execution, actor)

    def unpause(self, batch_id: str, *, execution: int | None = None, actor: str | None = None) -> Status:
        """Let a paused execution go on where it is; unlike `resume`, nothing is carried out here."""
        return self._steer(steering.unpause, batch_id, execution, actor)

    def cancel(self, batch_id: str, *, execution: int | None = None, actor: str | None = None) -> Status:
        """Cancel an execution, in whatever process it runs or waits; `resume` may still go on with it."""
        return self._steer(steering.cancel, batch_id, execution, actor)

    def set_priority(
        self,
        batch_id: str,
        priority: str,
        *,
        execution: int | None = None,
        actor: str | None = None,
    ) -> Status:
        """Change the priority (LOW, NORMAL, HIGH, CRITICAL) of what services are to carry out."""
        if priority not in list(Priority):
            raise UsageError(f"priority must be one of {', '.join(Priority)}, not {priority!r}")

        def act(_store: Store, queue: BatchQueue, record: ExecutionRecord, who: str) -> None:
            steering.change_priority(queue, record, Priority(priority), who)

        return self._steer(act, batch_id, execution, actor)

    def settle(
        self,
        batch_id: str,
        item_id: str,
        *,
        succeeded: bool = False,
        failed: bool = False,
        again: bool = False,
        result: Any = None,
        reason: str = "",
        execution: int | None = None,
        actor: str | None = None,
    ) -> Status:
        """Say what became of an item in doubt, in whatever process its batch runs, or where it does not.

        Exactly one of `succeeded` (with a JSON `result`, if there is one), `failed` and `again` (it may be
        called again, as its next attempt). The decision is recorded with who made it. Raises `UsageError`
        when the batch has no such item or it is not in doubt.
        """
        decision, text = settling.read_decision(
            succeeded=succeeded, failed=failed, again=again, result=result, reason=reason
        )

        def act(store: Store, queue: BatchQueue, record: ExecutionRecord, who: str) -> None:
            settling.settle(store, record, item_id, decision, text, reason, who)
            noted = steering.action("settle", who, itemId=item_id, decision=decision, reason=reason)
            queue.note(record.execution_key, noted)

        return self._steer(act, batch_id, execution, actor)

    def prune(self, *, older_than: float | None = None, dry_run: bool = False) -> Sequence[PrunedExecution]:
        """Give up items, outcomes, checkpoints and events of executions that finished long ago.

        `older_than` is in days, the setting `retentionDays` by default; a `dry_run` only says which. Their
        counts and responses are kept, and what is not finished is never touched.

        Raises:
            UsageError: there is no store; none is made.
            StoreError: the store cannot be written.
        """
        days = self._settings.retention_days if older_than is None else older_than
        if older_than is None and not days:
            return []
        return prune(self.store_url, days, dry_run=dry_run)

    def acknowledge(self, alert_id: str, *, actor: str | None = None) -> None:
        """Say that somebody looks after an alert: nobody is told of it again. Raises `UsageError`."""
        alerting.acknowledge(self.store_url, alert_id, actor)

    def silence(self, seconds: float, *, batch_id: str = "*", kind: str = "*", reason: str = "") -> None:
        """Have nobody told of these alerts for a while; they are recorded all the same.

        `batch_id` and `kind` may be patterns with `*`.
        """
        alerting.silence(self.store_url, seconds, batch=batch_id, kind=kind, reason=reason)

    def end_silences(self) -> int:
        """End every silence in force; returns how many that were."""
        return alerting.end_silences(self.store_url)

    def push(self, events: bytes) -> Sequence[Receipt]:
        """Take in events from outside, as CloudEvents in JSON: one, an array, or one on each line.

        Each counts once, by its source and id. An `ItemProcessingCompleted` ends the deferral of an item, in
        whatever process its batch runs; it may also come before that, or while nobody runs it.
        """
        with closing(compose.open_inbox(self.store_url)) as inbox:
            return take_in(inbox, events)

    def resend(self, batch_id: str | None = None) -> int:
        """Offer events that nobody wanted once more, of one batch or of all; how many that are."""
        with closing(compose.open_outlet(self.store_url)) as outlet:
            return outlet.unpark(batch_id)

    def _steer(
        self,
        act: Callable[[Store, BatchQueue, ExecutionRecord, str], None],
        batch_id: str,
        execution: int | None,
        actor: str | None,
    ) -> Status:
        record = self._record(batch_id, execution)
        with (
            closing(compose.open_store(self.store_url)) as store,
            closing(compose.open_queue(self.store_url)) as queue,
        ):
            act(store, queue, record, actor or local_actor())
        return self.status(batch_id, execution=execution)

    def _note(self, record: ExecutionRecord, name: str, **detail: object) -> None:
        """Write into the batch's history what is about to be done."""
        with closing(compose.open_queue(self.store_url)) as queue:
            queue.note(record.execution_key, steering.action(name, local_actor(), **detail))
