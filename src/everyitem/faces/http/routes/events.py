"""Events of an execution as server-sent events, resumable where a client left off."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from everyitem.faces.api.views import Event, Status
from everyitem.faces.http.parameters import BatchId, Execution
from everyitem.faces.http.problems import Refused
from everyitem.faces.http.serving import Serving, ServingNow
from everyitem.faces.http.shapes import EventList, json_of, refuses, returns
from everyitem.model.status import AT_REST

router = APIRouter(prefix="/v1/batches", tags=["events"])

_MEDIA_TYPE = "text/event-stream"
#: Seconds between two looks at the store, and between two signs of life to a client who gets nothing else.
_LOOK_EVERY = 0.5
_SIGN_EVERY = 15.0
#: Events read at a time: a batch has one for each item that failed.
_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class _Look:
    """What there was to see: where the execution stands, and the events behind a position."""

    status: Status
    events: Sequence[Event]

    @property
    def is_last(self) -> bool:
        """Whether nothing will follow. The status was read before the events."""
        return self.status.state in AT_REST and not self.is_full

    @property
    def is_full(self) -> bool:
        """Whether there may be more events by now than were looked for."""
        return len(self.events) == _AT_ONCE


@router.get(
    "/{batch_id}/events",
    responses={
        200: {
            "description": "CloudEvents in JSON, one a message, until the execution is at rest.",
            "content": {
                # what a description of HTTP can say of a stream is its type; each message's data is an Event
                _MEDIA_TYPE: {},
                **returns(EventList, "")["content"],
            },
        },
        204: {"description": "The execution is at rest, and nothing follows `Last-Event-ID`."},
        **refuses(HTTPStatus.NOT_FOUND, HTTPStatus.TOO_MANY_REQUESTS),
    },
)
async def events(
    request: Request,
    serving: ServingNow,
    batch_id: BatchId,
    execution: Execution = None,
    with_status: Annotated[
        bool, Query(alias="status", description="Send a message `status` whenever it changes, too.")
    ] = False,
    after: Annotated[int, Query(ge=0, le=2**62, description="Only events behind this `sequence`.")] = 0,
    limit: Annotated[int, Query(ge=1, le=_AT_ONCE, description="For a list: at most this many.")] = _AT_ONCE,
    without: Annotated[
        list[str] | None, Query(description="For a list: leave events of these types out.")
    ] = None,
    last_event_id: Annotated[
        str | None, Header(description="The id of the last message a client has: it gets those behind it.")
    ] = None,
) -> Response:
    """Follow an execution: its events from the beginning, or from behind the last one a client has.

    Who accepts `application/json` and no event stream gets those there are by now, as a list.
    """
    if _wants_list(request.headers.get("accept", "")):
        found = await run_in_threadpool(_look, serving, batch_id, execution, after, limit, without or ())
        return json_of(EventList(events=tuple(found.events)))
    after = _position(last_event_id) or after
    first = await run_in_threadpool(_look, serving, batch_id, execution, after)
    if first.is_last and after and not first.events:
        # the one answer that keeps a browser from asking again
        return Response(status_code=HTTPStatus.NO_CONTENT)
    if serving.streams >= serving.options.max_streams:
        raise Refused(
            HTTPStatus.TOO_MANY_REQUESTS,
            f"{serving.streams} event streams are open, the most there may be (max-streams)",
            headers={"Retry-After": "5"},
        )
    return StreamingResponse(
        _follow(serving, first, after, with_status=with_status),
        media_type=_MEDIA_TYPE,
        headers={"X-Accel-Buffering": "no"},
    )


async def _follow(serving: Serving, look: _Look, after: int, *, with_status: bool) -> AsyncIterator[bytes]:
    """Messages until the execution is at rest or the server ends."""
    status = look.status
    told: Status | None = None
    said_at = time.monotonic()
    serving.streams += 1
    try:
        yield b"retry: 2000\n\n"
        while True:
            messages = [_message(event.type, event.to_json(), event.sequence) for event in look.events]
            if look.events:
                after = look.events[-1].sequence
            if with_status and look.status != told:
                told = look.status
                messages.append(_message("status", told.to_json()))
            if not messages and time.monotonic() - said_at >= _SIGN_EVERY:
                messages.append(b": still there\n\n")
            if messages:
                said_at = time.monotonic()
                yield b"".join(messages)
            if look.is_last or serving.stopping.is_set():
                return
            if not look.is_full:
                await asyncio.sleep(_LOOK_EVERY)
            look = await run_in_threadpool(_look, serving, status.batch_id, status.execution, after)
    finally:
        serving.streams -= 1


def _wants_list(accept: str) -> bool:
    return "application/json" in accept and _MEDIA_TYPE not in accept


def _look(
    serving: Serving,
    batch_id: str,
    execution: int | None,
    after: int,
    limit: int = _AT_ONCE,
    without: Sequence[str] = (),
) -> _Look:
    with serving.service.session() as session:
        status = session.status(batch_id, execution=execution)
        found = session.events(
            batch_id, after=after, execution=status.execution, limit=limit, without=without
        )
        return _Look(status, found)


def _message(kind: str, data: bytes, position: int | None = None) -> bytes:
    """One message. JSON text holds no line break, so one data line is enough."""
    name = b"" if position is None else f"id: {position}\n".encode()
    return name + b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"


def _position(last_event_id: str | None) -> int:
    """Where to go on; what is no id of ours means from the beginning."""
    text = (last_event_id or "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0
