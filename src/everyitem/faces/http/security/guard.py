"""The one gate: every request passes here before any route is looked for, and is denied by default."""

from collections.abc import Mapping
from http import HTTPStatus

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from everyitem.faces.http.context import RequestContext
from everyitem.faces.http.problems import Refused
from everyitem.faces.http.security import login
from everyitem.faces.http.security.places import Places
from everyitem.faces.http.security.scopes import LOCAL, READING, Caller, scope_needed
from everyitem.faces.http.security.sessions import COOKIE, Sessions, cookie_of, same
from everyitem.faces.http.security.tokens import Credentials
from everyitem.model.errors import EveryitemError

#: What may be asked by anybody: whether the server lives, and the form to log in with. Compared with the path
#: as it was sent: no decoding, no normalising, so nothing else can pass for one of these.
HEALTH = frozenset(("/healthz", "/readyz"))
_OPEN = {**dict.fromkeys(HEALTH, frozenset(("GET", "HEAD"))), login.PATH: frozenset(("GET", "HEAD", "POST"))}


class Guard:
    """ASGI middleware that knows who calls, and lets pass who may.

    The path the routes see is the one the client sent, still percent-encoded: what was checked here and what
    is routed later cannot differ, and an encoded slash inside an id stays inside it.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        places: Places,
        credentials: Credentials,
        sessions: Sessions,
        needs_token: bool,
        login: login.Login,
    ) -> None:
        """`login` has the form that is shown to browsers nobody knows."""
        self._app, self._places = app, places
        self._credentials, self._sessions = credentials, sessions
        self._needs_token, self._login = needs_token, login

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"a guarded server takes http, not {scope['type']}")
        scope["path"] = path = scope["raw_path"].decode("ascii")
        context = RequestContext.of(scope)
        headers = Headers(scope=scope)
        method = scope["method"]
        if path not in HEALTH:
            objection = self._places.objection(headers, is_changing=method not in READING)
            if objection is not None:
                raise Refused(HTTPStatus.FORBIDDEN, objection)
        if method not in _OPEN.get(path, ()):
            try:
                context.caller = await self._admitted(headers, method, path)
            except Refused as refused:
                if refused.status is HTTPStatus.UNAUTHORIZED and _is_page(headers, method, path):
                    form = self._login.form(Request(scope), status=HTTPStatus.UNAUTHORIZED)
                    await form(scope, receive, send)
                    return
                raise
            _check_content(headers, method)
        await self._app(scope, receive, send)

    async def _admitted(self, headers: Headers, method: str, path: str) -> Caller:
        """Who calls. Raises `Refused` where that is nobody, or somebody who may not do this."""
        caller = await run_in_threadpool(self._caller, headers, method)
        if caller is None:
            raise Refused(
                HTTPStatus.UNAUTHORIZED,
                "a valid token is needed: Authorization: Bearer TOKEN",
                headers={"WWW-Authenticate": 'Bearer realm="everyitem"'},
            )
        needed = scope_needed(method, path)
        if not caller.scope.includes(needed):
            raise Refused(
                HTTPStatus.FORBIDDEN, f"this takes the scope {needed}; the token has {caller.scope}"
            )
        return caller

    def _caller(self, headers: Headers, method: str) -> Caller | None:
        given = headers.getlist("authorization")
        if given:
            # one header, one token: what proxies and servers read differently is not guessed at
            scheme, _, token = given[0].partition(" ")
            if len(given) > 1 or scheme.lower() != "bearer":
                return None
            return self._known(token.strip())
        cookie = cookie_of(headers.get("cookie", ""), COOKIE)
        session = self._sessions.find(cookie) if cookie else None
        if session is not None:
            if method not in READING and not same(headers.get("x-csrf-token", ""), session.csrf):
                raise Refused(
                    HTTPStatus.FORBIDDEN, "a page has to send its session's CSRF token in X-CSRF-Token"
                )
            return self._known(session.token)
        return None if self._needs_token else LOCAL

    def _known(self, token: str) -> Caller | None:
        try:
            return self._credentials.caller(token)
        except EveryitemError as error:
            # nobody is let in because the store cannot be asked
            raise Refused(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"tokens cannot be checked now: {error}",
                headers={"Retry-After": "5"},
            ) from error


def _is_page(headers: Mapping[str, str], method: str, path: str) -> bool:
    """Whether a person's browser asks for a page, and sends no token of its own."""
    is_asked = path == "/" or path.startswith("/batches/")
    return (
        is_asked
        and method in READING
        and "text/html" in headers.get("accept", "")
        and "authorization" not in headers
    )


def _check_content(headers: Mapping[str, str], method: str) -> None:
    """A changing request sends JSON or nothing: no form of another page can be one.

    Raises:
        Refused: it sends something else.
    """
    if method in READING:
        return
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
    is_json = kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))
    if (kind or has_body) and not is_json:
        raise Refused(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"send application/json, not {kind or 'a body of no stated type'}",
        )
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "compressed bodies are not taken")
