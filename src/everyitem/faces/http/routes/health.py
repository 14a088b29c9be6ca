"""Whether the server lives, and whether it can take work."""

from http import HTTPStatus

from fastapi import APIRouter
from starlette.responses import Response

from everyitem.faces.http.serving import ServingNow
from everyitem.faces.http.shapes import Alive, Queue, json_of, returns
from everyitem.faces.service.views import Health
from everyitem.model.errors import EveryitemError

router = APIRouter(tags=["operation"])


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
    try:
        health = serving.service.health()
    except EveryitemError as error:
        return _unready(f"the store does not answer: {type(error).__name__}")
    if serving.stopping.is_set() or not health.ready:
        return _unready("; ".join(health.obstacles) or "the server is ending")
    return json_of(Alive(status="ready"))


def _unready(detail: str) -> Response:
    # without particulars: anybody may ask
    return json_of(Alive(status="unready", detail=detail), status=HTTPStatus.SERVICE_UNAVAILABLE)


@router.get("/v1/service", responses={200: returns(Health, "How it does.")})
def service(serving: ServingNow) -> Response:
    """How the service does: what it shares out, how much runs and waits, what is in the way."""
    return json_of(serving.service.health())


@router.get("/v1/queue", responses={200: returns(Queue, "The next one first.")})
def queue(serving: ServingNow) -> Response:
    """The batches that wait."""
    return json_of(Queue(batches=tuple(serving.service.queue())))
