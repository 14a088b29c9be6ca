"""Searches of the Cyoda platform that find any number of entities, for whoever reads them.

The platform carries a search out in the background, notes the ids it finds, and hands the entities over page
by page as they were when it began. A direct search would find 10,000 at most, or fail.
"""

import time
from collections.abc import Iterator, Mapping
from typing import Any, Final, Protocol
from urllib.parse import quote

import msgspec

#: Seconds for a search to be carried out, and between two looks at it, first and at most.
_WITHIN: Final = 1800.0
_LOOKS: Final = (0.02, 2.0)
#: Entities on a page, and the bytes one should have: large entities make short pages.
_FIRST_PAGE, _LONGEST_PAGE, _PAGE_BYTES = 64, 1024, 2 << 20
#: Servers older than those this was written for keep so many results of a search and tell nobody of the rest.
_OLD_LIMIT: Final = 1000

#: The platform's condition that every entity meets.
EVERYTHING: Final = {"type": "group", "operator": "AND", "conditions": []}


class SearchBroken(Exception):
    """A search that did not end as it should, or whose results cannot all be had."""


class EntitiesLost(SearchBroken):
    """Some that were found are gone before they came; another search finds what there is by then."""


class Asking(Protocol):
    """Asks the platform, with whatever patience and errors its caller has."""

    def get(self, path: str, **query: object) -> bytes:
        """The answer to a GET."""
        ...

    def post(self, path: str, body: bytes, **query: object) -> bytes:
        """The answer to a POST of JSON text."""
        ...


class _Status(msgspec.Struct, rename="camel"):
    search_job_status: str
    entities_count: int = 0


class _Page(msgspec.Struct):
    content: list[msgspec.Raw] | None = None


_status = msgspec.json.Decoder(_Status).decode
_page = msgspec.json.Decoder(_Page).decode
_text = msgspec.json.Decoder(str).decode


def found(asking: Asking, model: str, condition: Mapping[str, Any]) -> Iterator[list[bytes]]:
    """The entities of `model` (`MODEL/VERSION`) that meet a condition, some megabytes of envelopes at a time.

    Raises `SearchBroken`, an `EntitiesLost` where any did not come, and whatever `asking` raises.
    """
    text = msgspec.json.encode(condition)
    job, count = _search(asking, model, text)
    if count == _OLD_LIMIT:
        _refuse_cut_off(asking, model, text)
    size, done, seen = _FIRST_PAGE, 0, 0
    while done < count:
        page = asking.get(f"/search/async/{job}", pageSize=size, pageNumber=done // size)
        try:
            entities = [bytes(one) for one in _page(page).content or ()]
        except msgspec.MsgspecError as error:
            raise SearchBroken(f"{model}: the platform sent no page of a search: {error}") from None
        seen += len(entities)
        done += size
        size = _next_size(size, done, len(page))
        yield entities
    if seen != count:
        raise EntitiesLost(
            f"{model}: the search found {count:,} entities, and {seen:,} of them came: some were deleted "
            "meanwhile; ask again"
        )


def _search(asking: Asking, model: str, condition: bytes) -> tuple[str, int]:
    """Have the platform search; the search's id for a URL, and how many entities it found."""
    try:
        job = quote(_text(asking.post(f"/search/async/{model}", condition)), safe="")
    except msgspec.MsgspecError:
        raise SearchBroken(f"{model}: the platform names no search it has begun") from None
    pause, longest = _LOOKS
    until = time.monotonic() + _WITHIN
    while True:
        try:
            status = _status(asking.get(f"/search/async/{job}/status"))
        except msgspec.MsgspecError as error:
            raise SearchBroken(f"{model}: the platform says nothing of a search: {error}") from None
        if status.search_job_status == "SUCCESSFUL":
            return job, status.entities_count
        if status.search_job_status != "RUNNING" or time.monotonic() > until:
            raise SearchBroken(f"{model}: the platform's search is {status.search_job_status}")
        time.sleep(pause)
        pause = min(2 * pause, longest)


def _refuse_cut_off(asking: Asking, model: str, condition: bytes) -> None:
    """Refuse a search whose results an old server has cut off."""
    lines = asking.post(f"/search/direct/{model}", condition, limit=_OLD_LIMIT + 1).splitlines()
    if sum(1 for line in lines if line.strip()) != _OLD_LIMIT:
        raise SearchBroken(
            f"{model}: this server keeps only {_OLD_LIMIT:,} results of a search, and there are more; "
            "part them by conditions, or bring the server up to date"
        )


def _next_size(size: int, done: int, read: int) -> int:
    """Entities on the next page, `read` being the bytes of the latest.

    Pages of a size begin at its multiples, and sizes are powers of two: a smaller one always fits, the next
    larger one every other time.
    """
    if read > 2 * _PAGE_BYTES:
        return max(1, size // 2)
    if 2 * read <= _PAGE_BYTES and size < _LONGEST_PAGE and done % (2 * size) == 0:
        return 2 * size
    return size
