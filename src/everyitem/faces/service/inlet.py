"""Events that come into a store where batches they bring can wait for a service."""

from contextlib import closing
from dataclasses import dataclass

from everyitem import compose
from everyitem.faces.api.incoming import Receipt, take_in
from everyitem.faces.documents.incoming import BatchBrought, EventRefused
from everyitem.faces.service.errors import QueueFull
from everyitem.faces.service.intake import Intake
from everyitem.model.errors import ContentDiffers, DocumentRefused
from everyitem.ports.inbox import BatchKnown, EventIsKnown, Inbox, IncomingEvent
from everyitem.ports.source import SourceAway, SourceUnavailable


@dataclass(frozen=True, slots=True)
class Inlet:
    """Takes events in for one store."""

    store_url: str
    intake: Intake
    #: Who hands them in.
    actor: str
    #: Whether what may pass is raised for who can hand the event in again: a full queue (`QueueFull`), a
    #: document whose place does not answer (`SourceAway`).
    waits: bool = False

    def push(self, text: bytes) -> list[Receipt]:
        """Take in the events of a text (see `take_in`); a batch one brings waits for a service."""
        with closing(compose.open_inbox(self.store_url)) as inbox:
            return take_in(inbox, text, begin=lambda brought: self._begin(inbox, brought))

    def _begin(self, inbox: Inbox, brought: BatchBrought) -> tuple[IncomingEvent, bool]:
        try:
            document = self.intake.read(self._document(brought))
            event = brought.about(document.batch.batch_id)
            if inbox.is_known(event):
                return event, False
            with (
                closing(compose.open_store(self.store_url)) as store,
                closing(compose.open_queue(self.store_url)) as queue,
            ):
                _, known = self.intake.accept(store, queue, document, self.actor, event=event)
        except EventIsKnown:
            return event, False
        except DocumentRefused as refused:
            reasons = "; ".join(map(str, refused.problems))
            raise EventRefused(f"$.data: {reasons}") from refused
        except QueueFull as full:
            if self.waits:
                raise
            raise EventRefused(str(full)) from full
        except SourceAway as away:
            if self.waits:
                raise
            raise EventRefused(str(away)) from away
        except (ContentDiffers, SourceUnavailable) as refused:
            raise EventRefused(str(refused)) from refused
        if known:
            return event, inbox.receive([(event, BatchKnown())])[0]
        return event, True

    def _document(self, brought: BatchBrought) -> bytes:
        if brought.reference is None:
            return brought.document
        settings = self.intake.settings
        return compose.read_reference(brought.reference, settings.sources, most=settings.max_document_bytes)
