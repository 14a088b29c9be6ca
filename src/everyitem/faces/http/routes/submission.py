"""Handing batches in: the body goes to a file as it comes, and is read from there."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from everyitem.faces.documents import Overrides
from everyitem.faces.http.parameters import segment
from everyitem.faces.http.serving import CallerNow, ContextNow, Serving, ServingNow
from everyitem.faces.http.shapes import json_of, refuses, returns
from everyitem.faces.service.views import Submission

router = APIRouter(prefix="/v1/batches", tags=["batches"])

#: Bytes gathered before they are written: a switch of threads for each part of 64 kB would cost more.
_PART = 1 << 20


@router.post(
    "",
    status_code=HTTPStatus.ACCEPTED,
    responses={
        200: returns(Submission, "The same content was handed in before."),
        202: returns(Submission, "It is new, and will be executed."),
        **refuses(
            HTTPStatus.CONFLICT,
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            HTTPStatus.TOO_MANY_REQUESTS,
            HTTPStatus.INSUFFICIENT_STORAGE,
        ),
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": "The batch document.",
            "content": {"application/json": {"schema": {"type": "object"}}},
        }
    },
)
async def submit(
    request: Request,
    serving: ServingNow,
    caller: CallerNow,
    context: ContextNow,
    rerun: Annotated[bool, Query(description="Execute it anew although it was executed before.")] = False,
    parallelism: Annotated[int | None, Query(ge=1, le=100_000)] = None,
    nodes: Literal["thread", "process", "async"] | None = None,
    checkpoint_interval: Annotated[
        int | None, Query(ge=1, le=1_000_000_000, alias="checkpointInterval")
    ] = None,
    max_retries: Annotated[int | None, Query(ge=0, le=10_000, alias="maxRetries")] = None,
    timeout_hours: Annotated[float | None, Query(gt=0, le=87_600, alias="timeoutHours")] = None,
) -> Response:
    """Hand a batch in. The same content again is the same batch, whatever became of it.

    The parameters win over the document.
    """
    wishes = Overrides(
        parallelism=parallelism,
        nodes=nodes,
        checkpoint_interval=checkpoint_interval,
        max_retries=max_retries,
        timeout_hours=timeout_hours,
    )
    async with _spooled(request, serving) as document:
        submission = await run_in_threadpool(
            serving.service.submit, document, actor=caller.name, overrides=wishes, rerun=rerun
        )
    context.noted |= {"batchId": submission.batch_id, "execution": submission.execution}
    place = request.scope["path"] + "/" + segment(submission.batch_id)
    return json_of(
        submission,
        status=HTTPStatus.OK if submission.known else HTTPStatus.ACCEPTED,
        headers={"Location": place},
    )


@asynccontextmanager
async def _spooled(request: Request, serving: Serving) -> AsyncIterator[str]:
    """The path of a file with the body, which is gone afterwards."""
    file: Any = await run_in_threadpool(
        tempfile.NamedTemporaryFile, prefix="everyitem-upload-", dir=serving.options.spool_folder
    )
    try:
        gathered = bytearray()
        async for part in request.stream():
            gathered += part
            if len(gathered) >= _PART:
                await run_in_threadpool(file.write, gathered)
                gathered = bytearray()
        await run_in_threadpool(file.write, gathered)
        await run_in_threadpool(file.flush)
        yield file.name
    finally:
        await run_in_threadpool(file.close)
