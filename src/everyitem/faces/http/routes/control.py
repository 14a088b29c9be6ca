"""What may be wanted of a batch, and who wanted what of it."""

from http import HTTPStatus
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Depends, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import Response

from everyitem.faces.http.parameters import BatchId, Execution, ItemId
from everyitem.faces.http.serving import CallerNow, ServingNow
from everyitem.faces.http.shapes import History, json_of, refuses, returns
from everyitem.faces.service.views import BatchStatus
from everyitem.model.configuration import Priority

router = APIRouter(prefix="/v1/batches", tags=["control"])

_REFUSALS = refuses(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)
_STANDS: dict[int | str, dict[str, Any]] = {200: returns(BatchStatus, "Where it stands now."), **_REFUSALS}
_WAITS: dict[int | str, dict[str, Any]] = {
    202: returns(BatchStatus, "It waits for its turn."),
    **refuses(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS),
}


class _Wish(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ResourcesWish(_Wish):
    """How many items may run at once."""

    parallelism: Annotated[int, Field(ge=1, le=100_000)]


class PriorityWish(_Wish):
    """Which batches go first."""

    priority: Priority


class RedriveWish(_Wish):
    """Which failed items run again; all of them where nothing is said."""

    error: Annotated[
        str | None,
        Field(min_length=1, description="Only items whose failure (code, type or message) contains this."),
    ] = None
    item_ids: Annotated[list[str] | None, Field(alias="itemIds", description="Only these items.")] = None
    items: Annotated[
        dict[str, Any] | None,
        Field(description="Corrected payloads by item id; only these items run."),
    ] = None


async def _redrive_wish(request: Request) -> RedriveWish:
    """The body, if there is one; corrected items keep every digit as it was sent."""
    body = await request.body()
    if not body.strip():
        return RedriveWish()
    try:
        wish = RedriveWish.model_validate_json(body, strict=True)
        if wish.items is not None:
            wish.items = dict(_decode_items(body).items)
    except ValidationError as refused:
        errors = [{**error, "loc": ("body", *error["loc"])} for error in refused.errors()]
        raise RequestValidationError(errors) from None
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as refused:
        raise RequestValidationError([{"loc": ("body",), "msg": f"not JSON: {refused}"}]) from None
    return wish


class _RawItems(msgspec.Struct):
    items: dict[str, msgspec.Raw] = {}


_decode_items = msgspec.json.Decoder(_RawItems).decode


class Settlement(_Wish):
    """What became of an item in doubt."""

    decision: Literal["succeeded", "failed", "again"]
    result: Annotated[Any, Field(description="Its result, where it succeeded and has one.")] = None
    reason: str = ""


@router.post("/{batch_id}/pause", responses=_STANDS)
def pause(serving: ServingNow, caller: CallerNow, batch_id: BatchId, execution: Execution = None) -> Response:
    """Let a batch rest: items in flight finish, a checkpoint is written, nothing new starts."""
    return json_of(serving.service.pause(batch_id, execution=execution, actor=caller.name))


@router.post("/{batch_id}/resume", status_code=202, responses=_WAITS)
def resume(
    serving: ServingNow, caller: CallerNow, batch_id: BatchId, execution: Execution = None
) -> Response:
    """Go on with a batch that is paused, was stopped or cancelled, or ended with an `ERROR`."""
    stands = serving.service.resume(batch_id, execution=execution, actor=caller.name)
    return json_of(stands, status=HTTPStatus.ACCEPTED)


@router.post("/{batch_id}/cancel", responses=_STANDS)
def cancel(
    serving: ServingNow, caller: CallerNow, batch_id: BatchId, execution: Execution = None
) -> Response:
    """Cancel a batch that runs or waits; `resume` may still go on with it."""
    return json_of(serving.service.cancel(batch_id, execution=execution, actor=caller.name))


@router.post(
    "/{batch_id}/redrive",
    status_code=202,
    responses=_WAITS,
    openapi_extra={
        "requestBody": {"content": {"application/json": {"schema": RedriveWish.model_json_schema()}}}
    },
)
def redrive(
    serving: ServingNow,
    caller: CallerNow,
    batch_id: BatchId,
    execution: Execution = None,
    wish: Annotated[RedriveWish | None, Depends(_redrive_wish)] = None,
) -> Response:
    """Run only the failed items again, as the next round with a fresh retry budget."""
    wish = wish or RedriveWish()
    stands = serving.service.redrive(
        batch_id,
        execution=execution,
        error=wish.error,
        item_ids=wish.item_ids or (),
        items=wish.items,
        actor=caller.name,
    )
    return json_of(stands, status=HTTPStatus.ACCEPTED)


@router.post("/{batch_id}/rerun", status_code=202, responses=_WAITS)
def rerun(serving: ServingNow, caller: CallerNow, batch_id: BatchId, execution: Execution = None) -> Response:
    """Execute a stored batch once more from the beginning, as its next execution."""
    stands = serving.service.rerun(batch_id, execution=execution, actor=caller.name)
    return json_of(stands, status=HTTPStatus.ACCEPTED)


@router.patch("/{batch_id}/resources", responses=_STANDS)
def change_resources(
    serving: ServingNow,
    caller: CallerNow,
    batch_id: BatchId,
    wish: ResourcesWish,
    execution: Execution = None,
) -> Response:
    """Change how many items of a batch may run at once; it gets fewer where others need the machine."""
    stands = serving.service.set_parallelism(
        batch_id, wish.parallelism, execution=execution, actor=caller.name
    )
    return json_of(stands)


@router.patch("/{batch_id}/priority", responses=_STANDS)
def change_priority(
    serving: ServingNow,
    caller: CallerNow,
    batch_id: BatchId,
    wish: PriorityWish,
    execution: Execution = None,
) -> Response:
    """Change the priority of a batch that waits or runs."""
    stands = serving.service.set_priority(batch_id, wish.priority, execution=execution, actor=caller.name)
    return json_of(stands)


@router.post("/{batch_id}/items/{item_id}/settle", responses=_STANDS)
def settle(
    serving: ServingNow,
    caller: CallerNow,
    batch_id: BatchId,
    item_id: ItemId,
    wish: Settlement,
    execution: Execution = None,
) -> Response:
    """Say what became of an item in doubt."""
    stands = serving.service.settle(
        batch_id,
        item_id,
        **{wish.decision: True},
        result=wish.result,
        reason=wish.reason,
        execution=execution,
        actor=caller.name,
    )
    return json_of(stands)


@router.get("/{batch_id}/history", responses={200: returns(History, "Oldest first."), **_REFUSALS})
def history(serving: ServingNow, batch_id: BatchId, execution: Execution = None) -> Response:
    """Who did what to a batch."""
    return json_of(History(deeds=tuple(serving.service.history(batch_id, execution=execution))))
