"""The dashboard: two pages and what they load, all from here, none of it from elsewhere.

The pages are static; their small modules ask the API as any client does, with the browser's session.
"""

from functools import cache
from http import HTTPStatus
from importlib import resources
from typing import Annotated, Final

from fastapi import APIRouter, Path
from starlette.responses import Response

from everyitem.faces.http.problems import Refused

router = APIRouter(include_in_schema=False)

#: What a page may do: load from here, and talk to here.
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
}
_TYPES: Final = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml", "LICENSE": "text/plain"}


@router.get("/")
def batches() -> Response:
    """The list of batches."""
    return _page("list.html")


@router.get("/batches/{batch_id}")
def batch(batch_id: str) -> Response:  # noqa: ARG001 - the page's module reads it from its address
    """One batch."""
    return _page("batch.html")


@router.get("/assets/{name}")
def asset(name: Annotated[str, Path(pattern=r"^[a-z]+\.(js|css|svg|LICENSE)$")]) -> Response:
    """What the pages load."""
    try:
        content = _read(name)
    except FileNotFoundError:
        raise Refused(HTTPStatus.NOT_FOUND, f"there is no asset {name!r}") from None
    kind = _TYPES[name.rpartition(".")[2]]
    # asked for again each time: what belongs to one version of the pages must not meet another one's
    return Response(content, media_type=kind, headers={"Cache-Control": "no-cache"})


def _page(name: str) -> Response:
    return Response(_read(name), media_type="text/html", headers=_HEADERS)


@cache
def _read(name: str) -> bytes:
    return (resources.files("everyitem.faces.http") / "assets" / name).read_bytes()
