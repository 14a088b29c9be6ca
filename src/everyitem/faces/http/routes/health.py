"""Whether the server lives, and whether it can take work."""

from http import HTTPStatus

from fastapi import APIRouter
from starlette.responses import Response

from everyitem.faces.http.problems import Refused
from everyitem.faces.http.serving import ServingNow
from everyitem.faces.http.shapes import Alive, Queue, json_of, refuses, returns
from everyitem.faces.service.views import Health
from everyitem.model.errors import UsageError

router = APIRouter(tags=["operation"])

_METRICS = "text/plain; version=0.0.4; charset=utf-8"


@router.get("/healthz", responses={200: returns(Alive, "It lives.")})
async def healthz() -> Response:
    """Whether the process answers at all. A supervisor restarts what does not."""
    return json_of(Alive(status="ok"))


@router.get(
    "/readyz",
    responses={200: returns(Alive, "It takes work."), 503: returns(Alive, "It takes none just now.")},
)
def readyz(serving: ServingNow) -> Response:
    """Whether requests should come here: the store answers, and the server is not about to end."""
    if serving.stopping.is_set():
        return _unready("the server is ending")
    if not serving.service.health().ready:
        # no particulars, which may name hosts and paths: anybody may ask
        return _unready("something is in the way; /v1/service says what to who has a token")
    return json_of(Alive(status="ready"))


def _unready(detail: str) -> Response:
    return json_of(Alive(status="unready", detail=detail), status=HTTPStatus.SERVICE_UNAVAILABLE)


@router.get(
    "/metrics",
    responses={
        200: returns({"type": "string"}, "Prometheus' text format.", media_type=_METRICS.partition(";")[0]),
        **refuses(HTTPStatus.NOT_IMPLEMENTED),
    },
)
def metrics(serving: ServingNow) -> Response:
    """Every execution somebody carries out, and the store as a whole, for Prometheus."""
    try:
        with serving.service.session() as session:
            text = session.metrics()
    except UsageError as error:
        raise Refused(HTTPStatus.NOT_IMPLEMENTED, str(error)) from error
    return Response(text, media_type=_METRICS)


@router.get("/v1/service", responses={200: returns(Health, "How it does.")})
def service(serving: ServingNow) -> Response:
    """How the service does: what it shares out, how much runs and waits, what is in the way."""
    return json_of(serving.service.health())


@router.get("/v1/queue", responses={200: returns(Queue, "The next one first.")})
def queue(serving: ServingNow) -> Response:
    """The batches that wait."""
    return json_of(Queue(batches=tuple(serving.service.queue())))
