"""The application: the routes, and the layers every request passes on its way to them.

Context (request id, refusals become answers, logs) → Guard (who may) → BodyLimit (how much) → routes
"""

from functools import partial
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp

from everyitem.faces.http.body import BodyLimit
from everyitem.faces.http.context import Context, RequestContext, unexpected
from everyitem.faces.http.problems import Refused, problem_response, refused, unwell_formed
from everyitem.faces.http.routes import (
    access,
    alerts,
    batches,
    control,
    events,
    health,
    inlet,
    pages,
    submission,
)
from everyitem.faces.http.security.guard import Guard
from everyitem.faces.http.security.places import Places
from everyitem.faces.http.security.tokens import Credentials
from everyitem.faces.http.serving import Serving
from everyitem.faces.http.shapes import problem, schemas
from everyitem.model.errors import EveryitemError

_ABOUT = "Runs batches in which every item is accounted for. Errors are `application/problem+json`."

_ROUTERS = (
    batches.router,
    submission.router,
    control.router,
    events.router,
    inlet.router,
    alerts.router,
    pages.router,
    access.router,
    health.router,
)

#: What every route but health may answer.
_COMMON: dict[int | str, dict[str, Any]] = {
    int(status): problem(status.phrase)
    for status in (
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.SERVICE_UNAVAILABLE,
    )
}


def build_app(serving: Serving, credentials: Credentials) -> ASGIApp:
    """The whole application of a server."""
    options = serving.options
    guarded = Guard(
        BodyLimit(
            build_routes(serving),
            documents=serving.settings.max_document_bytes,
            others=options.max_request_bytes,
        ),
        places=Places(bound_to=options.host, hosts=options.hosts, origins=options.origins),
        credentials=credentials,
        sessions=serving.sessions,
        needs_token=options.require_token or not options.is_local,
        login=serving.login,
    )
    return Context(guarded)


def build_routes(serving: Serving) -> FastAPI:
    """The routes without the layers around them."""
    app = FastAPI(
        title="everyitem",
        description=_ABOUT,
        version=version("everyitem"),
        # no page that loads scripts from elsewhere
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        redirect_slashes=False,
        responses=_COMMON,
    )
    app.state.serving = serving
    for router in _ROUTERS:
        app.include_router(router)
    app.add_exception_handler(Refused, _answer)
    app.add_exception_handler(EveryitemError, _answer)
    app.add_exception_handler(RequestValidationError, _answer)
    app.add_exception_handler(HTTPException, _answer)
    # Starlette answers with this and raises it all the same: the context has it logged
    app.add_exception_handler(Exception, _answer)
    app.openapi = partial(_describe, app)  # type: ignore[method-assign]
    return app


def _answer(request: Request, error: Exception) -> Response:
    """Whatever went wrong, as a problem document."""
    match error:
        case Refused():
            answer = error
        case EveryitemError():
            answer = refused(error)
        case RequestValidationError():
            answer = unwell_formed(error.errors())
        case HTTPException():
            status = HTTPStatus(error.status_code)
            said = error.detail if error.detail != status.phrase else _meaning(status, request)
            answer = Refused(status, said, headers=error.headers)
            if status is HTTPStatus.METHOD_NOT_ALLOWED:
                answer.headers["Allow"] = ", ".join(_methods_at(request))
        case _:
            answer = unexpected()
    return problem_response(answer, RequestContext.of(request.scope).request_id)


def _meaning(status: HTTPStatus, request: Request) -> str:
    path = request.scope["path"]
    match status:
        case HTTPStatus.NOT_FOUND:
            return f"there is nothing at {path}; /openapi.json lists what there is"
        case HTTPStatus.METHOD_NOT_ALLOWED:
            return f"{path} does not take {request.method}"
        case _:
            return status.description or status.phrase


def _methods_at(request: Request) -> list[str]:
    """What may be done at a path: several routes share it, and the router names the methods of one only."""
    found: set[str] = set()
    for route in request.app.router.routes:
        if route.matches(request.scope)[0] is not Match.NONE:
            found |= getattr(route, "methods", None) or set()
    return sorted(found)


def _describe(app: FastAPI) -> dict[str, Any]:
    """`/openapi.json`: what FastAPI found out, with our own shapes and how to prove who one is."""
    if app.openapi_schema is None:
        found = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        components = found.setdefault("components", {})
        # FastAPI describes its own form of a refusal, which no route has
        kept = {
            name: schema
            for name, schema in components.get("schemas", {}).items()
            if name not in ("HTTPValidationError", "ValidationError")
        }
        components["schemas"] = kept | schemas()
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        found["security"] = [{"token": []}]
        for path in ("/healthz", "/readyz"):
            for operation in found["paths"][path].values():
                operation["security"] = []
        app.openapi_schema = found
    return app.openapi_schema


def every_route() -> list[tuple[str, str]]:
    """Every (method, path) the server has, for who has to try each of them."""
    return [
        (method, route.path)
        for router in _ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in sorted(route.methods or ())
    ]
