"""Batches: listed, looked at, and what is recorded of their items."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response, StreamingResponse

from everyitem.faces.api.explanation import Explanation
from everyitem.faces.api.report.page import POLICY, render
from everyitem.faces.api.views import ItemResult, Verification
from everyitem.faces.http.parameters import BatchId, Execution, ItemId
from everyitem.faces.http.problems import Refused
from everyitem.faces.http.serving import ServingNow
from everyitem.faces.http.shapes import (
    NDJSON,
    Checkpoints,
    FailedItems,
    json_of,
    lines_of,
    refuses,
    returns,
)
from everyitem.faces.http.streaming import streamed
from everyitem.faces.service.views import BatchStatus, Live, Page
from everyitem.model.causes import grouped

router = APIRouter(prefix="/v1/batches", tags=["batches"])

#: Groups of causes that are alike, at most.
_GROUPS = 100

_UNKNOWN = refuses(HTTPStatus.NOT_FOUND)

Limit = Annotated[int, Query(ge=1, le=1000, description="At most this many.")]


@router.get("", responses={200: returns(Page, "Executions, newest first.")})
def list_batches(
    serving: ServingNow,
    limit: Limit = 50,
    cursor: Annotated[str | None, Query(description="`nextCursor` of the page before.")] = None,
) -> Response:
    """List the executions of all batches."""
    return json_of(serving.service.list(limit=limit, cursor=cursor))


@router.get("/{batch_id}", responses={200: returns(BatchStatus, "Where it stands."), **_UNKNOWN})
def status(serving: ServingNow, batch_id: BatchId, execution: Execution = None) -> Response:
    """Say where an execution stands, and its place in the queue."""
    return json_of(serving.service.status(batch_id, execution=execution))


@router.get("/{batch_id}/live", responses={200: returns(Live, "How it runs, as told last."), **_UNKNOWN})
def live(serving: ServingNow, batch_id: BatchId, execution: Execution = None) -> Response:
    """How an execution runs at this moment: what each worker does, latencies, steals, its window."""
    return json_of(serving.service.live(batch_id, execution=execution))


@router.get(
    "/{batch_id}/report",
    responses={200: returns({"type": "string"}, "One page of HTML.", media_type="text/html"), **_UNKNOWN},
)
async def report(serving: ServingNow, batch_id: BatchId, execution: Execution = None) -> Response:
    """The report: a page to read, print and sign. Takes as long as checking everything that is stored."""
    page = await serving.long_look(lambda session: render(session.report(batch_id, execution=execution)))
    # a page is held to both policies, its own and the header's
    headers = {"Content-Security-Policy": f"{POLICY}; frame-ancestors 'none'"}
    return Response(page, media_type="text/html", headers=headers)


@router.get(
    "/{batch_id}/response",
    responses={
        200: returns({"type": "object"}, "The response: `everyitem schema response` describes it."),
        **refuses(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    },
)
def response(serving: ServingNow, batch_id: BatchId, execution: Execution = None) -> Response:
    """The response; 409 until there is one."""
    with serving.service.session() as session:
        found = session.response(batch_id, execution=execution)
        if found is None:
            state = session.status(batch_id, execution=execution).state
            raise Refused(HTTPStatus.CONFLICT, f"batch {batch_id!r} is {state}; there is no response yet")
    return Response(found.to_json(), media_type="application/json")


@router.get(
    "/{batch_id}/results",
    responses={200: returns(ItemResult, "A line for each recorded outcome.", media_type=NDJSON), **_UNKNOWN},
)
def results(serving: ServingNow, batch_id: BatchId, execution: Execution = None) -> StreamingResponse:
    """Every recorded outcome in item order, as JSON lines."""
    return streamed(
        serving, lambda session: lines_of(session.results(batch_id, execution=execution)), media_type=NDJSON
    )


@router.get(
    "/{batch_id}/failures",
    responses={200: returns(FailedItems, "Items that failed, and items in doubt."), **_UNKNOWN},
)
def failures(
    serving: ServingNow,
    batch_id: BatchId,
    execution: Execution = None,
    limit: Limit = 1000,
    after: Annotated[
        int, Query(ge=-1, le=2**62, description="Only items behind this index (`nextAfter`).")
    ] = -1,
) -> Response:
    """The items that count as failed now with the items themselves; items in doubt beside them."""
    with serving.service.session() as session:
        doubtful = [one for one in session.in_doubt(batch_id, execution=execution) if one.index > after]
        failed = session.failures(batch_id, execution=execution, after=after)
        found = [one for one, _ in zip(failed, range(limit + 1), strict=False)]
    page = sorted([*found, *doubtful], key=lambda one: one.index)
    following = page[limit - 1].index if len(page) > limit else None
    return json_of(FailedItems(failures=tuple(page[:limit]), next_after=following))


@router.get(
    "/{batch_id}/causes",
    responses={200: returns({"type": "object"}, "How many items failed for which reason."), **_UNKNOWN},
)
def causes(
    serving: ServingNow,
    batch_id: BatchId,
    execution: Execution = None,
    alike: Annotated[
        bool,
        Query(description="Those that differ in numbers, ids and quoted parts only as one, 100 at most."),
    ] = False,
) -> dict[str, object]:
    """How many items failed for which reason, the most frequent first."""
    with serving.service.session() as session:
        found = session.causes(batch_id, execution=execution)
    if alike:
        groups = grouped(found)[:_GROUPS]
        return {
            "causes": [{"cause": one.example, "items": one.items, "causes": one.causes} for one in groups]
        }
    return {"causes": [{"cause": cause, "items": items} for cause, items in found]}


@router.get("/{batch_id}/checkpoints", responses={200: returns(Checkpoints, "The checkpoints."), **_UNKNOWN})
def checkpoints(serving: ServingNow, batch_id: BatchId, execution: Execution = None) -> Response:
    """The durable points of an execution, oldest first."""
    with serving.service.session() as session:
        return json_of(Checkpoints(checkpoints=tuple(session.checkpoints(batch_id, execution=execution))))


@router.get(
    "/{batch_id}/items/{item_id}", responses={200: returns(Explanation, "Its whole story."), **_UNKNOWN}
)
def explain(serving: ServingNow, batch_id: BatchId, item_id: ItemId, execution: Execution = None) -> Response:
    """Everything recorded of one item: each attempt over all rounds, its errors and its log."""
    with serving.service.session() as session:
        return json_of(session.explain(batch_id, item_id, execution=execution))


@router.get("/{batch_id}/verification", responses={200: returns(Verification, "What was found."), **_UNKNOWN})
async def verify(serving: ServingNow, batch_id: BatchId, execution: Execution = None) -> Response:
    """Check everything stored of an execution against its digests; takes as long as reading all of it."""
    return json_of(await serving.long_look(lambda session: session.verify(batch_id, execution=execution)))
