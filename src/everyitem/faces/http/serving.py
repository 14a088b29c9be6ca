"""What the routes of one server share."""

import threading
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from everyitem.faces.http.context import RequestContext
from everyitem.faces.http.options import HttpOptions
from everyitem.faces.http.security.login import Login
from everyitem.faces.http.security.scopes import LOCAL, Caller
from everyitem.faces.http.security.sessions import Sessions
from everyitem.faces.service.service import Service
from everyitem.ports.tokens import TokenStore
from everyitem.settings import Settings


@dataclass
class Serving:
    """One running server."""

    settings: Settings
    options: HttpOptions
    service: Service
    tokens: TokenStore
    sessions: Sessions
    login: Login
    #: Set once the server is about to end: streams end then, too.
    stopping: threading.Event = field(default_factory=threading.Event)
    #: Event streams that are open now.
    streams: int = 0


def _serving(request: Request) -> Serving:
    serving: Serving = request.app.state.serving
    return serving


def _context(request: Request) -> RequestContext:
    return RequestContext.of(request.scope)


def _caller(request: Request) -> Caller:
    return RequestContext.of(request.scope).caller or LOCAL


#: Parameters of routes.
ServingNow = Annotated[Serving, Depends(_serving)]
ContextNow = Annotated[RequestContext, Depends(_context)]
CallerNow = Annotated[Caller, Depends(_caller)]
