"""The service as faces use it: every method may be called from any thread, and blocks for what it does."""

import base64
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any, Self

from everyitem import compose
from everyitem.faces.api import redriving, steering
from everyitem.faces.api.incoming import Receipt
from everyitem.faces.api.retention import kept
from everyitem.faces.api.session import Session
from everyitem.faces.api.views import Deed
from everyitem.faces.documents import Overrides
from everyitem.faces.service import standing
from everyitem.faces.service.catalogue import Catalogue
from everyitem.faces.service.desk import Desk, Desks
from everyitem.faces.service.dispatcher import Dispatcher
from everyitem.faces.service.errors import ServiceStopping
from everyitem.faces.service.inlet import Inlet
from everyitem.faces.service.intake import Intake
from everyitem.faces.service.listener import Listener
from everyitem.faces.service.orphans import Orphans
from everyitem.faces.service.views import BatchStatus, Health, Live, Page, Submission
from everyitem.model.errors import UsageError, WrongState
from everyitem.ports.execution import ExecutionRecord
from everyitem.settings import Settings, load_settings

_MOST_LISTED = 1000
#: Digits of a position in the store: what databases hold in their integers.
_MOST_DIGITS = 18


class Service:
    """Runs batches for a team: takes them in, carries several out at once, and goes on after a restart.

    Controls return where the batch stands then; `actor` is who asks, and goes into the batch's history. They
    raise `UnknownBatch` when there is none, `WrongState` when what is asked for makes no sense in its state,
    `UsageError` for unusable arguments, and `StoreError` when the store is out of reach.

    Example:
        service = Service.connect("sqlite:///batches.db", processors=["processors.py"])
        service.start()
        try:
            service.submit(document, actor="ada")
            service.wait()
        finally:
            service.stop()
    """

    def __init__(self, settings: Settings, *, logs: str | PathLike[str] | None = None) -> None:
        """`logs` is the folder for what batches write to standard error; default: in the data directory."""
        self.settings = settings
        self._desks = Desks(settings)
        #: URL of the store; may hold a password.
        self.store_url = self._desks.store_url
        self._catalogue = Catalogue(settings.processors)
        self._intake = Intake(settings, self._catalogue)
        self._dispatcher = Dispatcher(
            settings, self._desks, self._catalogue, logs=None if logs is None else Path(logs)
        )
        self._stopping = threading.Event()
        self._care: compose.Watching | None = None
        self._orphans: Orphans | None = None
        self._listener: Listener | None = None

    @classmethod
    def connect(
        cls,
        store: str | PathLike[str] | None = None,
        *,
        config: str | PathLike[str] | None = None,
        processors: Sequence[str | PathLike[str]] | None = None,
        logs: str | PathLike[str] | None = None,
    ) -> Self:
        """A service with the settings of a file, the environment, and these."""
        settings = load_settings(
            None if config is None else os.fspath(config),
            store=None if store is None else os.fspath(store),
            processors=None if processors is None else tuple(os.fspath(one) for one in processors),
        )
        return cls(settings, logs=logs)

    # ------------------------------------------------------------- life

    def start(self) -> None:
        """Take over what a dead service has left, and begin to carry batches out, on a thread of its own.

        Raises:
            UsageError: the item processors do not load, or the store cannot be used.
            StoreError: the store is out of reach.
        """
        self._catalogue.load()
        self._care = compose.look_after(self.settings, self.store_url)
        subscription = compose.subscribe(self.settings)
        self._dispatcher.start()
        self._care.publish()
        self._care.desk.begin()
        self._orphans = Orphans(self.store_url, self._care.desk.notice)
        self._orphans.begin()
        if subscription is not None:
            inlet = Inlet(self.store_url, self._intake, "the broker", waits=True)
            self._listener = Listener(subscription, inlet)
            self._listener.begin()

    def stop(self, *, drain: float | None = None) -> None:
        """Take nothing in any more, drain and checkpoint what runs, and end; the next start goes on.

        `drain` are seconds for items in flight (default: `drainSeconds`); then they are interrupted. Safe to
        repeat.
        """
        self._stopping.set()
        if self._listener is not None:
            self._listener.close()
        self._dispatcher.stop(drain)
        if self._orphans is not None:
            self._orphans.close()
        if self._care is not None:
            self._care.close()
        self._desks.close()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the service has ended; False when it has not within `timeout` seconds."""
        return self._dispatcher.wait(timeout)

    def health(self) -> Health:
        """How the service does."""
        return self._dispatcher.health(stopping=self._stopping.is_set())

    # ------------------------------------------------------------- take in

    def submit(
        self,
        document: bytes | str | PathLike[str],
        *,
        actor: str,
        overrides: Overrides | None = None,
        rerun: bool = False,
    ) -> Submission:
        """Take a batch in: the document's bytes, or the path of a file that holds it.

        The same content again is known, whatever became of it; an unfinished execution that nobody carries
        out is put into the queue again. `overrides` win over the document; with `rerun` a batch that is
        known is executed anew.

        Raises:
            DocumentRefused: it is not acceptable; carries all problems.
            ContentDiffers: another content was accepted under this `batchId`.
            QueueFull: as many wait as may.
            ServiceStopping: the service is ending.
        """
        self._refuse_stopping()
        read = self._intake.read(document, overrides)
        with self._desks.lent() as desk, self._desks.store() as store:
            former = store.find(read.batch.identity) if rerun else None
            if former is not None:
                record = self._intake.again(store, desk.queue, former, actor, document=read)
                known = False
            else:
                record, known = self._intake.accept(store, desk.queue, read, actor)
            self._dispatcher.wake()
            stands = self._look(desk).of(record)
        return Submission(
            batch_id=stands.batch_id,
            execution=stands.execution,
            known=known,
            state=stands.state,
            queue_position=stands.queue_position,
            expected_start=stands.expected_start,
            warnings=tuple(map(str, read.batch.warnings)),
        )

    def push(self, events: bytes, *, actor: str) -> Sequence[Receipt]:
        """Take in CloudEvents (JSON): one, an array of them, or one on each line; each counts once.

        A `BatchInitialized` puts its batch into the queue, a `ResourcesAllocated` changes the nodes of an
        execution, an `ItemProcessingCompleted` completes an item.
        """
        self._refuse_stopping()
        try:
            return Inlet(self.store_url, self._intake, actor).push(events)
        finally:
            self._dispatcher.wake()

    def rerun(self, batch_id: str, *, execution: int | None = None, actor: str) -> BatchStatus:
        """Put a stored batch into the queue once more from the beginning, as its next execution."""
        self._refuse_stopping()
        with self._desks.lent() as desk, self._desks.store() as store:
            record = kept(_find(desk, batch_id, execution))
            record = self._intake.again(store, desk.queue, record, actor)
            self._dispatcher.wake()
            return self._look(desk).of(record)

    def redrive(
        self,
        batch_id: str,
        *,
        execution: int | None = None,
        error: str | None = None,
        item_ids: Sequence[str] = (),
        items: Mapping[str, Any] | None = None,
        actor: str,
    ) -> BatchStatus:
        """Put failed items into the queue again, as the next round with a fresh retry budget.

        All of them, or those whose failure contains `error`, or those in `item_ids`; `items` gives corrected
        payloads by item id, and only these run. With nothing to redrive nothing changes.
        """
        self._refuse_stopping()
        corrected = redriving.correction_texts(items or {})
        with self._desks.lent() as desk, self._desks.store() as store:
            record = kept(_find(desk, batch_id, execution))
            if record.owned or record.queued:
                raise WrongState(f"batch {batch_id!r} waits or runs; wait for its end, or cancel it first")
            selection = redriving.select_failed(
                store, record, error=error, item_ids=item_ids, corrected=corrected
            )
            if not selection.indices:
                return self._look(desk).of(record)
            document = self._intake.restored(store, record)
            self._intake.refuse_full(desk.queue)
            ownership = store.claim(record.execution_key, is_run=False)
            if ownership is None:
                raise WrongState(f"batch {batch_id!r} is being executed right now; wait for its end")
            self._intake.tidy(desk.queue, record)
            try:
                store.open_round(ownership, selection.indices, selection.corrections)
            finally:
                ownership.release()
            noted = steering.action(
                "redrive",
                actor,
                items=len(selection.indices),
                corrected=len(selection.corrections),
                **({} if error is None else {"error": error}),
            )
            # others may have come since there was room: its round is open now, and has to be carried out
            self._intake.put(desk.queue, record, document.batch, noted, is_admitted=True)
            self._dispatcher.wake()
            return self._status(desk, batch_id, record.execution)

    # ------------------------------------------------------------- steer

    def pause(self, batch_id: str, *, execution: int | None = None, actor: str) -> BatchStatus:
        """Let a running batch rest, or hold one that waits."""
        with self._steering(batch_id, execution) as session:
            session.pause(batch_id, execution=execution, actor=actor)
        return self.status(batch_id, execution=execution)

    def resume(self, batch_id: str, *, execution: int | None = None, actor: str) -> BatchStatus:
        """Let a paused batch go on; put one that was stopped, cancelled or ended with an `ERROR` in again."""
        self._refuse_stopping()
        with self._desks.lent() as desk, self._desks.store() as store:
            record = _find(desk, batch_id, execution)
            if record.status.is_finished:
                raise WrongState(f"batch {batch_id!r} is finished ({record.status}); redrive or rerun it")
            if record.owned or record.queued:
                desk.session.unpause(batch_id, execution=execution, actor=actor)
            else:
                batch = self._intake.restored(store, record).batch
                self._intake.put(desk.queue, record, batch, steering.action("resume", actor))
            self._dispatcher.wake()
            return self._status(desk, batch_id, record.execution)

    def cancel(self, batch_id: str, *, execution: int | None = None, actor: str) -> BatchStatus:
        """Cancel a batch that runs or waits; `resume` may still go on with it."""
        with self._steering(batch_id, execution) as session:
            session.cancel(batch_id, execution=execution, actor=actor)
        return self.status(batch_id, execution=execution)

    def set_priority(
        self, batch_id: str, priority: str, *, execution: int | None = None, actor: str
    ) -> BatchStatus:
        """Change the priority of a batch that waits or runs."""
        with self._steering(batch_id, execution) as session:
            session.set_priority(batch_id, priority, execution=execution, actor=actor)
        return self.status(batch_id, execution=execution)

    def set_parallelism(
        self, batch_id: str, parallelism: int, *, execution: int | None = None, actor: str
    ) -> BatchStatus:
        """Change how many items of a batch may run at once; it gets fewer where others need the machine."""
        with self._desks.lent() as desk:
            record = _find(desk, batch_id, execution)
            steering.change_parallelism(desk.queue, record, parallelism, actor)
            self._dispatcher.wake()
            return self._status(desk, batch_id, record.execution)

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
        actor: str,
    ) -> BatchStatus:
        """Say what became of an item in doubt: exactly one of `succeeded`, `failed` and `again`."""
        with self._steering(batch_id, execution) as session:
            session.settle(
                batch_id,
                item_id,
                succeeded=succeeded,
                failed=failed,
                again=again,
                result=result,
                reason=reason,
                execution=execution,
                actor=actor,
            )
        return self.status(batch_id, execution=execution)

    # ------------------------------------------------------------- look

    def status(self, batch_id: str, *, execution: int | None = None) -> BatchStatus:
        """Where a batch stands, and its place in the line."""
        with self._desks.lent() as desk:
            return self._status(desk, batch_id, execution)

    def live(self, batch_id: str, *, execution: int | None = None) -> Live:
        """How an execution runs at this moment: its workers, latencies, steals."""
        with self._desks.lent() as desk:
            return Live.of(_find(desk, batch_id, execution))

    def list(self, *, limit: int = 50, cursor: str | None = None) -> Page:
        """A page of all executions in the store, newest first; `cursor` is what the last page handed out."""
        if not 1 <= limit <= _MOST_LISTED:
            raise UsageError(f"limit must be from 1 to {_MOST_LISTED}, not {limit}")
        before = None if cursor is None else _position_in(cursor)
        with self._desks.lent() as desk:
            records = desk.queue.page(before=before, limit=limit + 1)
            line = self._look(desk)
        shown = records[:limit]
        return Page(
            batches=tuple(map(line.of, shown)),
            next_cursor=_cursor_at(shown[-1].execution_key) if len(records) > limit else None,
        )

    def queue(self) -> Sequence[BatchStatus]:
        """The batches that wait, the next one first."""
        with self._desks.lent() as desk:
            line = self._look(desk)
            return [line.of(_find(desk, one.batch_id, one.execution)) for one in line.waiting]

    def history(self, batch_id: str, *, execution: int | None = None) -> Sequence[Deed]:
        """Who did what to a batch, oldest first."""
        with self._desks.lent() as desk:
            record = _find(desk, batch_id, execution)
            return [Deed.of(action) for action in desk.queue.actions(record.execution_key)]

    def note(
        self, batch_id: str, action: str, *, execution: int | None = None, actor: str, **detail: object
    ) -> None:
        """Write into a batch's history what somebody did that is not a control of the service."""
        with self._desks.lent() as desk:
            record = _find(desk, batch_id, execution)
            desk.queue.note(record.execution_key, steering.action(action, actor, **detail))

    def log(self, batch_id: str, *, execution: int | None = None) -> bytes:
        """The end of what the batch's process wrote to standard error here; empty when it did not."""
        with self._desks.lent() as desk:
            return self._dispatcher.log(_find(desk, batch_id, execution).execution_key)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A session on the store for whatever else there is to look at, of the caller's own for a while."""
        with self._desks.lent() as desk:
            yield desk.session

    # ------------------------------------------------------------- how it is done

    @contextmanager
    def _steering(self, batch_id: str, execution: int | None) -> Iterator[Session]:
        with self._desks.lent() as desk:
            _find(desk, batch_id, execution)
            yield desk.session
        self._dispatcher.wake()

    def _status(self, desk: Desk, batch_id: str, execution: int | None) -> BatchStatus:
        record = _find(desk, batch_id, execution)
        if record.queued:
            return self._look(desk).of(record)
        return BatchStatus.of(record)

    def _look(self, desk: Desk) -> standing.Line:
        return standing.look(
            desk.queue, typical=self._dispatcher.typical, obstacles=self._dispatcher.obstacles
        )

    def _refuse_stopping(self) -> None:
        if self._stopping.is_set():
            raise ServiceStopping("the service is ending; try again when it is back")


def _find(desk: Desk, batch_id: str, execution: int | None) -> ExecutionRecord:
    """Raises `UnknownBatch`."""
    return desk.session.record(batch_id, execution)


def _cursor_at(execution_key: int) -> str:
    return base64.urlsafe_b64encode(str(execution_key).encode()).decode()


def _position_in(cursor: str) -> int:
    try:
        position = base64.urlsafe_b64decode(cursor.encode())
    except ValueError:
        position = b""
    if not position.isdigit() or len(position) > _MOST_DIGITS:
        raise UsageError(f"{cursor!r} is no cursor this service handed out")
    return int(position)
