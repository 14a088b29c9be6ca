"""Entities of the Cyoda platform as items: those a condition finds, or those with given ids.

An item is `{"itemId": entity id, "state", "data"}`, with the entity's data digit by digit as it is stored.
Where the platform is, and as whom to ask, is the operator's (`[sources.cyoda]`).
"""

import base64
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import msgspec

from everyitem.adapters.sources.regular_file import open_regular, source_path
from everyitem.adapters.sources.web import lines_of, opened
from everyitem.ports.source import SourceChunk, SourceFault, SourceSpec, SourceUnavailable

#: Matches a direct search of the platform answers with at most.
_MOST_MATCHES: Final = 10_000
#: Entities asked for one by one that are handed over together.
_CHUNK_ENTITIES: Final = 256
_MODEL: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*/[0-9]+")
#: Share of a token's life after which it is replaced.
_FRESH: Final = 0.8


class _Meta(msgspec.Struct):
    id: str
    state: str = ""


class _Envelope(msgspec.Struct):
    data: msgspec.Raw
    meta: _Meta


class _Token(msgspec.Struct):
    access_token: str
    expires_in: float = 60.0


_envelope = msgspec.json.Decoder(_Envelope).decode


class Platform:
    """Asks the platform's REST API."""

    def __init__(self, setup: Mapping[str, Any]) -> None:
        """`setup` is `[sources]`. Raises `SourceUnavailable` when it does not say where the platform is."""
        own = setup.get("cyoda", {})
        self._setup: Mapping[str, Any] = own if isinstance(own, Mapping) else {}
        if not isinstance(self._setup.get("url"), str):
            raise SourceUnavailable(
                "the operator has set up no [sources.cyoda] with the url of the platform (…/api)"
            )
        self.url: str = self._setup["url"].rstrip("/")
        self._token, self._fresh_until = "", 0.0

    def headers(self) -> dict[str, str]:
        """What goes with every request."""
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if "token-url" in self._setup:
            headers["Authorization"] = f"Bearer {self._current_token()}"
        return headers

    def _current_token(self) -> str:
        """OAuth2 client credentials; a search may outlive a token."""
        if time.monotonic() >= self._fresh_until:
            file = str(self._setup.get("client-secret-file", ""))
            try:
                secret = Path(file).read_text().strip()
            except OSError as error:
                raise SourceUnavailable(
                    f"sources.cyoda.client-secret-file {file}: {error.strerror}"
                ) from None
            pair = base64.b64encode(f"{self._setup.get('client-id', '')}:{secret}".encode()).decode("ascii")
            form = {"Authorization": f"Basic {pair}", "Content-Type": "application/x-www-form-urlencoded"}
            with opened(str(self._setup["token-url"]), form, body=b"grant_type=client_credentials") as reply:
                try:
                    granted = msgspec.json.decode(reply.read(1 << 20), type=_Token)
                except msgspec.MsgspecError:
                    raise SourceUnavailable("the token server answers without an access_token") from None
            self._token = granted.access_token
            self._fresh_until = time.monotonic() + _FRESH * granted.expires_in
        return self._token


class CyodaSearchSource:
    """Entities of a model that meet a condition: `reference` is `MODEL/VERSION`.

    `condition` is the platform's; `conditions` are several, asked one after the other: a direct search
    finds 10,000 entities at most, so that more of them take conditions that part them.
    """

    def __init__(self, spec: SourceSpec) -> None:
        """Raises `SourceUnavailable` when something it takes is missing."""
        if not _MODEL.fullmatch(spec.reference):
            raise SourceUnavailable(f"{spec.reference!r}: reference must be MODEL/VERSION, like Position/1")
        self.name = spec.reference
        self._platform = Platform(spec.setup)
        given = spec.options.get("conditions", [spec.options.get("condition", _EVERYTHING)])
        if not isinstance(given, list) or not given or not all(isinstance(one, dict) for one in given):
            raise SourceUnavailable("condition must be an object, conditions a list of them")
        self._conditions: list[dict[str, Any]] = given

    def chunks(self) -> Iterator[SourceChunk]:
        url = f"{self._platform.url}/search/direct/{self.name}?limit={_MOST_MATCHES}"
        seen: set[str] = set()
        for condition in self._conditions:
            with opened(url, self._platform.headers(), body=msgspec.json.encode(condition)) as reply:
                for lines in lines_of(reply):
                    yield _chunk([line for line in lines if line.strip()], seen)


#: The platform's condition that every entity meets.
_EVERYTHING: Final = {"type": "group", "operator": "AND", "conditions": []}


class CyodaEntitiesSource:
    """Entities with given ids: `ids` in the document, or a file of them (`reference`), one id a line."""

    def __init__(self, spec: SourceSpec) -> None:
        """Raises `SourceUnavailable` when there are no ids, or nobody said where the platform is."""
        self._platform = Platform(spec.setup)
        ids = spec.options.get("ids")
        self._ids: list[str] | None = None
        if ids is not None:
            if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
                raise SourceUnavailable("ids must be a list of texts")
            self._ids = ids
        self._path = source_path(spec)
        self.name = "cyoda-entities" if self._ids is not None else self._path.name
        if self._ids is None:
            open_regular(self._path).close()

    def chunks(self) -> Iterator[SourceChunk]:
        seen: set[str] = set()
        some: list[bytes] = []
        for entity_id in self._wanted():
            url = f"{self._platform.url}/entity/{quote(entity_id, safe='')}"
            with opened(url, self._platform.headers()) as reply:
                some.append(reply.read())
            if len(some) == _CHUNK_ENTITIES:
                yield _chunk(some, seen)
                some = []
        yield _chunk(some, seen)

    def _wanted(self) -> Iterator[str]:
        if self._ids is not None:
            yield from self._ids
            return
        with open_regular(self._path) as file:
            for line in file:
                if text := line.decode("utf-8", "replace").strip():
                    yield text


def _chunk(envelopes: list[bytes], seen: set[str]) -> SourceChunk:
    """Items of entities, each once: conditions may overlap; `seen` are the ids so far."""
    texts, lines, faults = [], [], []
    for text in envelopes:
        number = len(seen) + 1
        try:
            envelope = _envelope(text)
        except msgspec.MsgspecError as error:
            faults.append(SourceFault(number, f"the platform sent what is no entity: {error}"))
            continue
        if envelope.meta.id in seen:
            continue
        seen.add(envelope.meta.id)
        texts.append(
            msgspec.json.encode(
                {"itemId": envelope.meta.id, "state": envelope.meta.state, "data": envelope.data}
            )
        )
        lines.append(number)
    return SourceChunk(texts, lines, faults)
