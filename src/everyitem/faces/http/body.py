"""How much of a body is taken: more is refused before it is read."""

from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from everyitem.faces.http.problems import Refused

#: Where documents are sent to.
DOCUMENTS = "/v1/batches"


class BodyLimit:
    """ASGI middleware that stops reading at the limit, whatever `Content-Length` promised."""

    def __init__(self, app: ASGIApp, *, documents: int, others: int) -> None:
        """`documents` is the limit for batch documents, `others` for everything else, in bytes."""
        self._app, self._documents, self._others = app, documents, others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        most = self._documents if scope["path"] == DOCUMENTS else self._others
        told = Headers(scope=scope).get("content-length", "")
        if told.isascii() and told.isdigit() and int(told) > most:
            raise _too_large(most)
        taken = 0

        async def receive_bounded() -> Message:
            nonlocal taken
            message = await receive()
            if message["type"] == "http.request":
                taken += len(message.get("body", b""))
                if taken > most:
                    raise _too_large(most)
            return message

        await self._app(scope, receive_bounded, send)


def _too_large(most: int) -> Refused:
    return Refused(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"longer than {most:,} bytes, the limit",
        # what is still to come is not read
        headers={"Connection": "close"},
    )
