"""What the API's description says of answers: schemas derived from the values themselves."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.responses import Response

from everyitem.faces.api.explanation import Explanation
from everyitem.faces.api.incoming import Receipt
from everyitem.faces.api.views import (
    AlertView,
    Checkpoint,
    Deed,
    Event,
    Failed,
    ItemResult,
    Verification,
    View,
)
from everyitem.faces.http.problems import MEDIA_TYPE, ProblemDocument
from everyitem.faces.http.security.tokens import MadeToken, TokenInfo, Tokens
from everyitem.faces.service.views import BatchStatus, Health, Live, Page, Submission

NDJSON = "application/x-ndjson"
_REFERENCE = "#/components/schemas/{name}"


class FailedItems(View, frozen=True, kw_only=True):
    """Items that count as failed now, and items in doubt, in item order."""

    failures: tuple[Failed, ...]
    #: Pass it as `after` for those that follow; null at the end.
    next_after: int | None


class Queue(View, frozen=True, kw_only=True):
    """The batches that wait, the next one first."""

    batches: tuple[BatchStatus, ...]


class History(View, frozen=True, kw_only=True):
    """Who did what to a batch, oldest first."""

    deeds: tuple[Deed, ...]


class EventList(View, frozen=True, kw_only=True):
    """Events of an execution, in order."""

    events: tuple[Event, ...]


class Alerts(View, frozen=True, kw_only=True):
    """Alerts, newest first."""

    alerts: tuple[AlertView, ...]


class EventIntake(View, frozen=True, kw_only=True):
    """What became of events that were sent, in their order."""

    receipts: tuple[Receipt, ...]


class Checkpoints(View, frozen=True, kw_only=True):
    """The durable points of an execution, oldest first."""

    checkpoints: tuple[Checkpoint, ...]


class SessionInfo(View, frozen=True, kw_only=True):
    """Who the caller is, for pages."""

    name: str
    scope: str
    #: What a changing request of a page has to carry in `X-CSRF-Token`; null where none is needed.
    csrf_token: str | None


class Alive(View, frozen=True, kw_only=True):
    """Whether the server lives, or is ready."""

    status: str
    detail: str = ""


#: Everything answers are described with.
SHAPES: tuple[type[msgspec.Struct], ...] = (
    ProblemDocument,
    BatchStatus,
    Submission,
    Page,
    Queue,
    History,
    Verification,
    EventList,
    EventIntake,
    Alerts,
    Live,
    FailedItems,
    Checkpoints,
    ItemResult,
    Explanation,
    Event,
    SessionInfo,
    TokenInfo,
    Tokens,
    MadeToken,
    Alive,
    Health,
)


def schemas() -> dict[str, Any]:
    """`components.schemas` of the API's description."""
    _, components = msgspec.json.schema_components(SHAPES, ref_template=_REFERENCE)
    return components


def returns(
    shape: type[msgspec.Struct] | dict[str, Any], description: str, *, media_type: str = "application/json"
) -> dict[str, Any]:
    """How an answer of this shape is described."""
    schema = shape if isinstance(shape, dict) else {"$ref": _REFERENCE.format(name=shape.__name__)}
    return {"description": description, "content": {media_type: {"schema": schema}}}


def refuses(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """The refusals a route may answer with, beside those every route has."""
    return {int(status): problem(status.phrase) for status in statuses}


def problem(description: str) -> dict[str, Any]:
    """How a refusal is described."""
    return returns(ProblemDocument, description, media_type=MEDIA_TYPE)


def json_of(value: View, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A value as the body of an answer."""
    return Response(value.to_json(), status_code=status, media_type="application/json", headers=headers)


def lines_of(values: Iterable[View], *, size: int = 64 << 10) -> Iterable[bytes]:
    """JSON lines, in parts of about `size` bytes: a part each would cost a switch of threads each."""
    parts: list[bytes] = []
    held = 0
    for value in values:
        line = value.to_json()
        parts += (line, b"\n")
        held += len(line)
        if held >= size:
            yield b"".join(parts)
            parts, held = [], 0
    if parts:
        yield b"".join(parts)
