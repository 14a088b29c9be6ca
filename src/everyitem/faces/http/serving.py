"""What the routes of one server share."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Final, TypeVar

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool

from everyitem.faces.api.session import Session
from everyitem.faces.http.context import RequestContext
from everyitem.faces.http.options import HttpOptions
from everyitem.faces.http.security.login import Login
from everyitem.faces.http.security.scopes import LOCAL, Caller
from everyitem.faces.http.security.sessions import Sessions
from everyitem.faces.service.service import Service
from everyitem.ports.tokens import TokenStore
from everyitem.settings import Settings

T = TypeVar("T")

#: Each takes a core while it lasts.
_MOST_LONG_LOOKS: Final = 2


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
    #: Places for looks at everything that is stored of an execution.
    _long_looks: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_MOST_LONG_LOOKS))

    async def long_look(self, look: Callable[[Session], T]) -> T:
        """What a look finds that takes as long as reading all of a batch.

        Few are taken at a time, each with a connection of its own: nobody who wants to know where a batch
        stands, or to stop it, waits for those who read reports.
        """

        def taken() -> T:
            with Session(self.settings) as session:
                return look(session)

        async with self._long_looks:
            return await run_in_threadpool(taken)


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
