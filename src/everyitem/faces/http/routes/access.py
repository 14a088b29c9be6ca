"""Logging in and out, who one is, and access tokens."""

import time
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from everyitem.faces.http.problems import Refused
from everyitem.faces.http.security.login import PATH
from everyitem.faces.http.security.scopes import TOKENS, Scope
from everyitem.faces.http.security.sessions import COOKIE, cookie_of
from everyitem.faces.http.security.tokens import MadeToken, TokenInfo, Tokens, make_token
from everyitem.faces.http.serving import CallerNow, ContextNow, ServingNow
from everyitem.faces.http.shapes import (
    SessionInfo,
    json_of,
    refuses,
    returns,
)

router = APIRouter(tags=["access"])


@router.get(PATH, include_in_schema=False)
def form(serving: ServingNow, request: Request) -> Response:
    """The login form."""
    return serving.login.form(request)


@router.post(PATH, include_in_schema=False)
async def log_in(serving: ServingNow, request: Request) -> Response:
    """What the form sends."""
    return await serving.login.submit(request)


@router.get("/v1/session", responses={200: returns(SessionInfo, "Who calls.")})
def session(serving: ServingNow, caller: CallerNow, request: Request) -> Response:
    """Who the caller is, and what a page needs to change something."""
    found = serving.sessions.find(cookie_of(request.headers.get("cookie", ""), COOKIE))
    return json_of(
        SessionInfo(name=caller.name, scope=caller.scope, csrf_token=found.csrf if found else None)
    )


@router.delete("/v1/session", status_code=204, response_class=Response)
def log_out(serving: ServingNow, request: Request) -> Response:
    """End the session of this browser."""
    return serving.login.leave(request)


class TokenWish(BaseModel):
    """A token to be made."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$")]
    scope: Scope
    expires_in_days: Annotated[float, Field(gt=0, le=36_500)] | None = Field(None, alias="expiresInDays")


@router.get(TOKENS, responses={200: returns(Tokens, "Every token, without the secrets.")})
def list_tokens(serving: ServingNow) -> Response:
    """List the access tokens."""
    return json_of(Tokens(tokens=tuple(map(TokenInfo.of, serving.tokens.all()))))


@router.post(TOKENS, responses={201: returns(MadeToken, "The token, shown this once.")}, status_code=201)
def create_token(serving: ServingNow, caller: CallerNow, context: ContextNow, wish: TokenWish) -> Response:
    """Make an access token."""
    lifetime = None if wish.expires_in_days is None else wish.expires_in_days * 86_400
    made = make_token(wish.name, wish.scope, by=caller.name, now=time.time(), lifetime_seconds=lifetime)
    serving.tokens.add(made.record)
    context.noted["tokenId"] = made.record.token_id
    return json_of(MadeToken.of_new(made), status=HTTPStatus.CREATED)


@router.delete(
    TOKENS + "/{token_id}",
    status_code=204,
    response_class=Response,
    responses=refuses(HTTPStatus.NOT_FOUND),
)
def revoke_token(serving: ServingNow, token_id: Annotated[str, Path(pattern="^[0-9a-f]{1,64}$")]) -> Response:
    """Make a token worthless at once."""
    if not serving.tokens.revoke(token_id, time.time()):
        raise Refused(HTTPStatus.NOT_FOUND, f"there is no token {token_id!r}")
    return Response(status_code=HTTPStatus.NO_CONTENT)
