"""The login form: a token is typed in once, and a session's cookie stands for it from then on."""

import base64
import hashlib
import html
import secrets
from http import HTTPStatus
from urllib.parse import parse_qs

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from everyitem.faces.http.security.sessions import COOKIE, FORM_COOKIE, LIFETIME, Sessions, cookie_of, same
from everyitem.faces.http.security.tokens import Credentials

PATH = "/login"
#: A form of two fields is short.
_MOST_BYTES = 8192

_STYLE = (
    ":root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}"
    "body{display:grid;place-content:center;min-height:90vh;margin:0 1rem}"
    "form{display:grid;gap:.75rem;width:min(22rem,90vw)}"
    "input,button{font:inherit;padding:.5rem .75rem;border-radius:.4rem;border:1px solid #8888}"
    "button{cursor:pointer}p[role=alert]{color:#c22;margin:0}"
)
_DIGEST = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_DIGEST}'; form-action 'self'; frame-ancestors 'none'; "
    "base-uri 'none'"
)


class Login:
    """Shows the form, and opens and closes sessions."""

    def __init__(self, credentials: Credentials, sessions: Sessions) -> None:
        self._credentials, self._sessions = credentials, sessions

    def form(self, request: Request, *, status: int = 200, complaint: str = "") -> Response:
        """The form. Its CSRF token is in a hidden field and in a cookie, and both must agree."""
        csrf = secrets.token_urlsafe(32)
        alert = f'<p role="alert">{html.escape(complaint)}</p>' if complaint else ""
        page = (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width,initial-scale=1"><title>everyitem</title>'
            f"<style>{_STYLE}</style></head><body><main><h1>everyitem</h1>"
            f'<form method="post" action="{PATH}">{alert}'
            f'<input type="hidden" name="csrf" value="{csrf}">'
            '<label for="token">Access token</label>'
            '<input id="token" name="token" type="password" autocomplete="current-password" '
            "required autofocus>"
            "<button>Log in</button></form></main></body></html>"
        )
        answer = Response(
            page, status_code=status, media_type="text/html", headers={"Content-Security-Policy": _POLICY}
        )
        _set_cookie(answer, request, FORM_COOKIE, csrf, seconds=3600)
        return answer

    async def submit(self, request: Request) -> Response:
        """Check the token and open a session."""
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > _MOST_BYTES:
                return self.form(request, status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE, complaint="Too long.")
        fields = parse_qs(body.decode("utf-8", "replace"))
        csrf, token = fields.get("csrf", [""])[0], fields.get("token", [""])[0].strip()
        if not same(csrf, cookie_of(request.headers.get("cookie", ""), FORM_COOKIE)):
            return self.form(
                request, status=HTTPStatus.FORBIDDEN, complaint="This form has expired; try again."
            )
        caller = await run_in_threadpool(self._credentials.caller, token)
        if caller is None:
            return self.form(
                request, status=HTTPStatus.FORBIDDEN, complaint="This token is not valid, or no longer."
            )
        answer = RedirectResponse("/", status_code=HTTPStatus.SEE_OTHER)
        _set_cookie(answer, request, COOKIE, self._sessions.open(token), seconds=LIFETIME)
        answer.delete_cookie(FORM_COOKIE)
        return answer

    def leave(self, request: Request) -> Response:
        """End the session of this browser."""
        self._sessions.close(cookie_of(request.headers.get("cookie", ""), COOKIE))
        answer = Response(status_code=HTTPStatus.NO_CONTENT)
        answer.delete_cookie(COOKIE)
        return answer


def _set_cookie(answer: Response, request: Request, name: str, value: str, *, seconds: int) -> None:
    """A cookie no script and no other site gets at; over TLS it never travels without."""
    answer.set_cookie(
        name,
        value,
        max_age=seconds,
        path="/",
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
