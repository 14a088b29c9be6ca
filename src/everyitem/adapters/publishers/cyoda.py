"""Events to the Cyoda platform: as entities of a model, or as edge messages.

An entity can be searched for and have a workflow, and a unique key on `eventId` takes each event once. An
edge message is kept, is read by the id the platform gives it, and may come twice.
"""

import logging
import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from everyitem.adapters.cyoda_api import TAKEN, CyodaApi, CyodaApis, PlatformAway, PlatformRefused
from everyitem.adapters.publishers.messages import STRUCTURED, batch_of, header_id, to_json
from everyitem.model.errors import UsageError
from everyitem.model.identity import entity_of
from everyitem.model.response import rfc3339
from everyitem.ports.outbox import OutboxEvent
from everyitem.ports.relay import EventsRefused, Publisher, PublisherAway
from everyitem.settings.credentials import Credentials

_log = logging.getLogger("everyitem.events")

_MODEL: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*/[0-9]+")
_SUBJECT: Final = re.compile(r"[A-Za-z0-9._-]{1,256}")
#: Entities of one transaction: what the platform takes by default.
_AT_ONCE: Final = 100
_NOT_FOUND: Final = 404
_CONFLICT: Final = 409
#: Characters of a header the platform takes.
_HEADER: Final = 1024

_encode = msgspec.json.Encoder().encode


def cyoda_publisher(url: str, *, credentials: Credentials | None, topic: str, timeout: float) -> Publisher:
    """A publisher to entities of a model (`topic` is MODEL/VERSION), or to edge messages of a subject.

    Raises `UsageError` for a topic that is neither, and a URL nothing can be asked at.
    """
    api = CyodaApis(url, credentials=credentials, timeout=timeout).mine()
    if _MODEL.fullmatch(topic):
        return EventEntities(api, topic)
    if _SUBJECT.fullmatch(topic):
        return EdgeMessages(api, topic)
    raise UsageError(
        f"[events] topic {topic!r}: name a model with its version (BatchEvent/1), or a subject of letters, "
        "digits, '.', '_' and '-'"
    )


class EventEntities:
    """An entity for each event, some of them in one transaction."""

    at_once = _AT_ONCE

    def __init__(self, api: CyodaApi, model: str) -> None:
        self._api, self._path = api, f"/entity/JSON/{model}"

    def publish(self, events: Sequence[OutboxEvent]) -> None:
        texts = [_encode(_entity(event)) for event in events]
        body = texts[0] if len(texts) == 1 else b"[" + b",".join(texts) + b"]"
        try:
            self._api.post(self._path, body, transactionWindow=_AT_ONCE)
        except PlatformAway as away:
            raise PublisherAway(str(away), wait=away.wait) from away
        except PlatformRefused as refused:
            if refused.code == TAKEN and len(events) == 1:
                return  # it is there: an earlier answer was lost
            raise _translated(refused) from refused

    def close(self) -> None:
        self._api.close()


class EdgeMessages:
    """An edge message for each event: the event as CloudEvents has it, under its own id."""

    at_once = 1

    def __init__(self, api: CyodaApi, subject: str) -> None:
        self._api, self._path = api, f"/message/new/{subject}"

    def publish(self, events: Sequence[OutboxEvent]) -> None:
        for event in events:
            try:
                answer = self._api.call("POST", self._path, _message(event), headers=_headers(event))
            except PlatformAway as away:
                raise PublisherAway(str(away), wait=away.wait) from away
            except PlatformRefused as refused:
                raise _translated(refused) from refused
            _log.info("event %s is edge message %s", event.event_id, _id_of(answer))

    def close(self) -> None:
        self._api.close()


def _entity(event: OutboxEvent) -> dict[str, Any]:
    """Of the same types whatever the event: a locked model knows one for each field."""
    batch = batch_of(event)
    return {
        "eventId": event.event_id,
        "type": event.type,
        "batch": batch,
        "batchEntityId": entity_of(batch),
        "subject": event.subject,
        "time": rfc3339(event.time),
        "sequence": event.position,
        "data": event.data.decode("utf-8"),
    }


def _message(event: OutboxEvent) -> bytes:
    about = {"type": event.type, "batch": batch_of(event), "eventId": event.event_id}
    return _encode({"payload": msgspec.Raw(to_json(event)), "metaData": about | {"sequence": event.position}})


def _headers(event: OutboxEvent) -> dict[str, str]:
    about = msgspec.structs.replace(event, event_id=batch_of(event))
    return {
        "Content-Type": STRUCTURED,
        "X-Message-ID": header_id(event)[:_HEADER],
        "X-Correlation-ID": header_id(about)[:_HEADER],
    }


def _translated(refused: PlatformRefused) -> Exception:
    """A model that is not there or not locked is the operator's to mend, whichever event it is."""
    if refused.status == _NOT_FOUND or (refused.status == _CONFLICT and refused.code != TAKEN):
        return PublisherAway(str(refused))
    return EventsRefused(str(refused))


def _id_of(answer: bytes) -> str:
    try:
        return str(msgspec.json.decode(answer)[0]["entityIds"][0])
    except (msgspec.MsgspecError, LookupError, TypeError):
        return "(the platform names none)"
