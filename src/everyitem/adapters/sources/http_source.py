"""HTTP: items from a service, as JSON Lines or as a JSON array, page after page.

Where to may be asked is the operator's (`[sources.http] allow`): a document must not make this machine call
what only it can reach.
"""

import http.client
import re
from collections.abc import Iterator
from urllib.parse import urljoin, urlsplit

import msgspec

from everyitem.adapters.sources.reach import Reach
from everyitem.adapters.sources.web import lines_of, opened
from everyitem.ports.source import SourceChunk, SourceSpec, SourceUnavailable

_ACCEPT = "application/x-ndjson, application/json"
#: Bytes of one page that is a JSON document; JSON Lines may be of any length.
_LONGEST_PAGE = 64 << 20
#: Pages of one source; who links in a circle must come to an end.
_MOST_PAGES = 1_000_000
_NEXT = re.compile(r'<([^>]*)>\s*;[^,]*\brel="?next"?', re.IGNORECASE)

_raws = msgspec.json.Decoder(list[msgspec.Raw]).decode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class HttpSource:
    """The items behind a URL.

    Options: `items`, the key of the array in a page that is an object; `next`, the key of the next page's
    URL in it. A `Link: <...>; rel="next"` header is followed as well.
    """

    def __init__(self, spec: SourceSpec) -> None:
        """Raises `SourceUnavailable` when the operator does not allow the URL."""
        self._reach = Reach(spec.setup)
        self._url = self._reach.allowed(spec.reference)
        self.name = urlsplit(self._url).path.rpartition("/")[2] or urlsplit(self._url).netloc
        self._items, self._next = spec.options.get("items"), spec.options.get("next")

    def chunks(self) -> Iterator[SourceChunk]:
        url: str | None = self._url
        count, pages = 0, 0
        while url is not None:
            if (pages := pages + 1) > _MOST_PAGES:
                raise SourceUnavailable(f"{self.name}: more than {_MOST_PAGES:,} pages")
            following: str | None = None
            with opened(url, self._reach.headers(_ACCEPT)) as reply:
                if _is_lines(reply):
                    for lines in lines_of(reply):
                        texts = [text for line in lines if (text := line.strip(b" \t\r\n"))]
                        yield SourceChunk(texts, list(range(count + 1, count + 1 + len(texts))))
                        count += len(texts)
                else:
                    texts, following = self._page(reply)
                    yield SourceChunk(texts, list(range(count + 1, count + 1 + len(texts))))
                    count += len(texts)
                linked = _NEXT.search(reply.headers.get("Link") or "")
            following = linked[1] if linked else following
            url = self._reach.allowed(urljoin(url, following)) if following else None

    def _page(self, reply: http.client.HTTPResponse) -> tuple[list[bytes], str | None]:
        """The items of a page that is one JSON document, and what it says of the next one."""
        content = reply.read(_LONGEST_PAGE + 1)
        if len(content) > _LONGEST_PAGE:
            raise SourceUnavailable(
                f"{self.name}: a page is longer than {_LONGEST_PAGE >> 20} MB; send JSON Lines"
            )
        following = None
        try:
            if content.lstrip()[:1] == b"{":
                members = _members(content)
                if self._items not in members:
                    raise SourceUnavailable(f"{self.name}: no array {self._items!r} in a page (option items)")
                if self._next in members:
                    following = msgspec.json.decode(members[self._next], type=str | None)
                content = bytes(members[self._items])
            return [bytes(one) for one in _raws(content)], following
        except msgspec.MsgspecError as error:
            raise SourceUnavailable(f"{self.name}: a page is not what was expected: {error}") from None


def _is_lines(reply: http.client.HTTPResponse) -> bool:
    kind = (reply.headers.get_content_type() or "").lower()
    return "ndjson" in kind or "jsonl" in kind or "json-lines" in kind or "jsonlines" in kind
