"""From what somebody wants carried out to a ticket in the queue."""

import os
from dataclasses import dataclass, replace
from os import PathLike
from typing import Final

from everyitem import compose
from everyitem.faces.api import steering
from everyitem.faces.documents import Overrides, ReadDocument, read_document, restore_document
from everyitem.faces.service.catalogue import Catalogue
from everyitem.faces.service.errors import QueueFull
from everyitem.faces.service.machine import demand_of
from everyitem.model.batch import ProcessingBatch
from everyitem.model.errors import ContentDiffers, DocumentRefused, Problem, WrongState
from everyitem.ports.execution import ExecutionRecord, NewExecution
from everyitem.ports.inbox import IncomingEvent
from everyitem.ports.queue import Action, BatchQueue, NewTicket, QueueIsFull
from everyitem.ports.store import Store
from everyitem.settings import Settings

#: Characters of a batch's id: it stands in URLs, in events, and on the command line of its process.
_LONGEST_ID: Final = 1024


@dataclass(frozen=True, slots=True)
class Intake:
    """Takes batches in for one service."""

    settings: Settings
    catalogue: Catalogue
    #: Whether documents may name files of this machine as their source of items.
    allow_sources: bool = False

    def read(self, document: bytes | str | PathLike[str], overrides: Overrides | None = None) -> ReadDocument:
        """Read and check a document: its bytes, or the path of a file that holds it.

        `overrides` win over what it says.

        Raises `DocumentRefused` with all problems.
        """
        read = read_document(
            document if isinstance(document, bytes) else os.fspath(document),
            settings=self.settings,
            overrides=overrides,
            is_async=self.catalogue.is_async,
            open_source=compose.open_source if self.allow_sources else None,
        )
        if (length := len(read.batch.batch_id)) > _LONGEST_ID:
            too_long = f"has {length:,} characters; a service, whose URLs it is in, takes {_LONGEST_ID:,}"
            raise DocumentRefused([Problem("$.batchId", too_long)])
        return read

    def accept(
        self,
        store: Store,
        queue: BatchQueue,
        document: ReadDocument,
        actor: str,
        *,
        event: IncomingEvent | None = None,
    ) -> tuple[ExecutionRecord, bool]:
        """Put a batch into the queue; its record, and whether the same content was here before.

        An unfinished execution that nobody carries out is put in again. A new batch is stored with the
        `event` that brought it. Raises `ContentDiffers`, `QueueFull`, and `EventIsKnown`.
        """
        batch = document.batch
        said = {} if event is None else {"event": event.event_id, "source": event.source}
        noted = steering.action("submit", actor, priority=batch.priority, items=len(batch.items), **said)
        while True:
            record = store.find(batch.identity)
            if record is not None:
                _refuse_other_content(record, batch)
                if not (record.status.is_finished or record.owned or record.queued):
                    self.put(queue, record, batch, noted)
                    record = store.find(batch.identity) or record
                return record, True
            if self._enqueue(queue, document, 1, noted, event):
                created = store.find(batch.identity)
                if created is not None:
                    return created, False

    def put(
        self,
        queue: BatchQueue,
        record: ExecutionRecord,
        batch: ProcessingBatch,
        noted: Action,
        *,
        is_admitted: bool = False,
    ) -> None:
        """Put a stored execution that is at rest into the queue.

        Raises `QueueFull`, unless it `is_admitted`: what was begun for it must not be left half done.
        """
        self.tidy(queue, record)
        length = queue.input_bytes(record.execution_key)
        room = None if is_admitted else self._room
        try:
            queue.put(record.execution_key, self._ticket(batch, length, noted.actor), noted, room=room)
        except QueueIsFull:
            raise self._full() from None

    @staticmethod
    def tidy(queue: BatchQueue, record: ExecutionRecord) -> None:
        """Take out the ticket of a run that has ended, where nobody has done so yet."""
        ticket = queue.ticket(record.execution_key)
        if ticket is not None and ticket.has_ended:
            queue.remove(record.execution_key, number=ticket.number)

    def again(
        self,
        store: Store,
        queue: BatchQueue,
        record: ExecutionRecord,
        actor: str,
        *,
        document: ReadDocument | None = None,
    ) -> ExecutionRecord:
        """Put the next execution of a stored batch into the queue; `document` is how it was asked for now.

        Raises `ContentDiffers`, `WrongState` while an execution of it waits or runs, `QueueFull`, and
        `DocumentRefused` when the settings do not allow the batch any more.
        """
        latest = store.find(record.batch_id) or record
        if latest.owned or latest.queued:
            raise WrongState(
                f"batch {record.batch_id!r} waits or is being executed; "
                "cancel it or wait for its end before a rerun"
            )
        if document is not None:
            _refuse_other_content(record, document.batch)
        document = document or self.restored(store, record)
        noted = steering.action("rerun", actor, of=record.execution)
        number = latest.execution + 1
        created = None
        if self._enqueue(queue, replace(document, source=record.source), number, noted):
            created = store.find(record.batch_id, number)
        if created is None:
            raise WrongState(f"batch {record.batch_id!r} was rerun by somebody else just now")
        return created

    def restored(self, store: Store, record: ExecutionRecord) -> ReadDocument:
        """The batch of a stored execution under the settings in force now. Raises `DocumentRefused`."""
        document = restore_document(
            record.envelope,
            store.items(record.execution_key),
            settings=self.settings,
            recorded_settings=record.settings,
            is_async=self.catalogue.is_async,
        )
        # corrected items do not make it another batch
        return replace(
            document, batch=replace(document.batch, content=record.content, known_as=record.batch_id)
        )

    def refuse_full(self, queue: BatchQueue) -> None:
        """Raise `QueueFull` if another one may not wait."""
        if sum(one.service_id is None for one in queue.tickets()) >= self._room:
            raise self._full()

    @property
    def _room(self) -> int:
        return self.settings.max_queued_batches

    def _full(self) -> QueueFull:
        return QueueFull(
            f"{self._room:,} batches wait already, and no more may (maxQueuedBatches); "
            "nothing was stored, try again when some have started"
        )

    def _enqueue(
        self,
        queue: BatchQueue,
        document: ReadDocument,
        execution: int,
        noted: Action,
        event: IncomingEvent | None = None,
    ) -> bool:
        batch = document.batch
        new = NewExecution(
            batch_id=batch.identity,
            execution=execution,
            content=batch.content,
            items_digest=batch.items.digest,
            item_count=len(batch.items),
            named=batch.items.named,
            processor=batch.configuration.processor,
            processor_code=self.catalogue.find(batch.configuration.processor).code_digest,
            envelope=batch.envelope,
            settings=document.settings_json,
            source=document.source,
        )
        length = sum(len(chunk.text) for chunk in batch.items.chunks())
        ticket = self._ticket(batch, length, noted.actor)
        try:
            key = queue.enqueue(new, batch.items, ticket, noted, room=self._room, event=event)
        except QueueIsFull:
            raise self._full() from None
        return key is not None

    @staticmethod
    def _ticket(batch: ProcessingBatch, input_bytes: int, actor: str) -> NewTicket:
        configuration = batch.configuration
        level = configuration.parallelism_level or configuration.parallelism
        return NewTicket(
            priority=batch.priority,
            demand=demand_of(batch, input_bytes=input_bytes),
            actor=actor,
            # where it is found while it runs, nobody has asked for less than is allocated
            parallelism=None if configuration.adapts else level,
        )


def _refuse_other_content(record: ExecutionRecord, batch: ProcessingBatch) -> None:
    """Raises `ContentDiffers` where this is not the batch that was accepted under its id."""
    if record.content != batch.content:
        raise ContentDiffers(
            f"batch {record.batch_id!r} was accepted with other content (items, processor or "
            "parameters differ); nothing was touched - use another batchId for other content"
        )
