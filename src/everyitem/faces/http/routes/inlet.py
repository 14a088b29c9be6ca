"""Events others send: CloudEvents over HTTP, in the structured and the batched mode (JSON)."""

from http import HTTPStatus

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from everyitem.faces.api.incoming import Taken
from everyitem.faces.http.serving import CallerNow, ServingNow
from everyitem.faces.http.shapes import EventIntake, json_of, refuses, returns
from everyitem.model.errors import DocumentRefused, Problem

router = APIRouter(prefix="/v1/events", tags=["events"])

_EVENT = {"type": "object", "required": ["specversion", "id", "source", "type"]}


@router.post(
    "",
    status_code=HTTPStatus.ACCEPTED,
    responses={
        200: returns(EventIntake, "All of them were taken in before."),
        202: returns(EventIntake, "What became of each; some may have been refused."),
        **refuses(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": "One event, or an array of them.",
            "content": {
                "application/cloudevents+json": {"schema": _EVENT},
                "application/cloudevents-batch+json": {"schema": {"type": "array", "items": _EVENT}},
                "application/json": {"schema": {"oneOf": [_EVENT, {"type": "array", "items": _EVENT}]}},
            },
        }
    },
)
async def push(request: Request, serving: ServingNow, caller: CallerNow) -> Response:
    """Take events in. Each counts once, by `source` and `id`, however often it is sent.

    `BatchInitialized` has a batch executed, `ResourcesAllocated` changes the nodes of a running one,
    `ItemProcessingCompleted` completes an item that was deferred.
    """
    receipts = await run_in_threadpool(serving.service.push, await request.body(), actor=caller.name)
    if not receipts:
        raise DocumentRefused([Problem("$", "an event is needed, or an array of some")])
    states = {receipt.state for receipt in receipts}
    if states == {Taken.REFUSED}:
        raise DocumentRefused(
            [Problem(f"$[{receipt.number - 1}]", str(receipt.reason)) for receipt in receipts]
        )
    status = HTTPStatus.ACCEPTED if states - {Taken.KNOWN} else HTTPStatus.OK
    return json_of(EventIntake(receipts=tuple(receipts)), status=status)
