"""Answers that are sent while they are read from the store."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from starlette.responses import StreamingResponse

from everyitem.faces.api.session import Session
from everyitem.faces.http.serving import Serving


def streamed(
    serving: Serving, read: Callable[[Session], Iterable[bytes]], *, media_type: str
) -> StreamingResponse:
    """What `read` gives, part by part, from a session of its own: a slow reader keeps nobody waiting.

    The first part is read before the answer begins, so that what cannot be read at all is an error with a
    status. What goes wrong later cuts the connection: a client sees that the answer is not whole.
    """

    def parts() -> Iterator[bytes]:
        with Session(serving.settings) as session:
            for part in read(session):
                if serving.stopping.is_set():
                    raise ConnectionAbortedError("the server is ending")
                yield part

    all_parts = parts()
    first = next(all_parts, b"")
    return StreamingResponse(chain((first,), all_parts), media_type=media_type)
