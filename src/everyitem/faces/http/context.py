"""What is known of a request beside its content: its id, its caller; and what is written down about it."""

import logging
import re
import time
import uuid
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from everyitem.faces.http.problems import Refused, problem_response
from everyitem.faces.http.security.scopes import READING, Caller
from everyitem.model.response import rfc3339

_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_KEY = "everyitem.request"

#: Who did what and when: one JSON line for each changing request, refused ones too.
audit = logging.getLogger("everyitem.http.audit")
#: One JSON line for every request.
access = logging.getLogger("everyitem.http.access")
_log = logging.getLogger("everyitem.http")


@dataclass(slots=True)
class RequestContext:
    """One request, as the layers around the routes know it."""

    request_id: str
    #: None until the guard has let it pass, and for what anybody may ask.
    caller: Caller | None = None
    #: Further facts for the audit log.
    noted: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, scope: Scope) -> "RequestContext":
        """The context of the request with this scope."""
        found: RequestContext = scope[_KEY]
        return found


class Context:
    """The outermost middleware: gives each request its id, turns refusals into answers, writes the logs."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        context = scope[_KEY] = RequestContext(given if _ID.fullmatch(given) else uuid.uuid4().hex)
        begun, status, is_answered = time.perf_counter(), 0, False

        async def send_marked(message: Message) -> None:
            nonlocal status, is_answered
            if message["type"] == "http.response.start":
                status = message["status"]
                _mark(MutableHeaders(scope=message), context)
            await send(message)
            is_answered = message["type"] == "http.response.body" and not message.get("more_body")

        try:
            await self._app(scope, receive, send_marked)
        except Exception as error:
            if not isinstance(error, Refused):
                _log.exception("request %s failed", context.request_id)
                error = unexpected()
            if status and not is_answered:
                raise  # the answer has begun: cutting the connection is the only way to say so
            if not is_answered:
                await problem_response(error, context.request_id)(scope, receive, send_marked)
        finally:
            _write_down(scope, context, status, time.perf_counter() - begun)


def unexpected() -> Refused:
    """The answer to a mistake of ours."""
    return Refused(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "the server has made a mistake; its log tells more under this request's id",
    )


def _mark(headers: MutableHeaders, context: RequestContext) -> None:
    """What every answer carries."""
    headers["X-Request-Id"] = context.request_id
    headers.setdefault("Cache-Control", "no-store")
    headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
    headers.setdefault("X-Content-Type-Options", "nosniff")
    # not "no-referrer": browsers would send the login form with `Origin: null`, which nobody may
    headers.setdefault("Referrer-Policy", "same-origin")


def _write_down(scope: Scope, context: RequestContext, status: int, seconds: float) -> None:
    logger = access if scope["method"] in READING else audit
    if not logger.isEnabledFor(logging.INFO):
        return
    client = scope.get("client")
    line = {
        "at": rfc3339(time.time()),
        "requestId": context.request_id,
        "who": context.caller.name if context.caller else None,
        "from": client[0] if client else None,
        "method": scope["method"],
        # without the query: nothing that was meant to be secret gets into a log
        "path": scope["raw_path"].decode("ascii", "replace"),
        "status": status,
        "ms": round(seconds * 1000, 1),
        **context.noted,
    }
    logger.info(msgspec.json.encode(line).decode())
