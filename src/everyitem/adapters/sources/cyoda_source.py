"""Entities of the Cyoda platform as items: those a condition finds, or those with given ids.

An item is `{"itemId": entity id, "state", "data"}`, with the entity's data digit by digit as it is stored.
Where the platform is, and as whom to ask, is the operator's (`[sources.cyoda]`).
"""

import re
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import msgspec

from everyitem.adapters.cyoda_api import CyodaApis, PlatformAway, PlatformRefused
from everyitem.adapters.cyoda_search import EVERYTHING, EntitiesLost, SearchBroken, found
from everyitem.adapters.sources.regular_file import open_regular, source_path
from everyitem.model.errors import UsageError
from everyitem.ports.source import (
    SourceAway,
    SourceChunk,
    SourceFault,
    SourceMisdescribed,
    SourceSpec,
    SourceUnavailable,
)
from everyitem.settings.credentials import Credentials

#: Entities asked for by id that are handed over together, and how many are on their way at once.
_CHUNK_ENTITIES: Final = 256
_AT_ONCE: Final = 8
_MODEL: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*/[0-9]+")

#: Seconds for each step of a call.
_TIMEOUT: Final = 60.0
#: Tries of a call the platform does not answer, and seconds before the second one; they double.
_TRIES: Final = 5
_PAUSE: Final = 0.25


class _Meta(msgspec.Struct):
    id: str
    state: str = ""


class _Envelope(msgspec.Struct):
    data: msgspec.Raw
    meta: _Meta


_envelope = msgspec.json.Decoder(_Envelope).decode


class Platform:
    """Asks the platform's REST API; what may pass by itself is asked again a few times."""

    def __init__(self, setup: Mapping[str, Any]) -> None:
        """`setup` is `[sources]`. Raises `SourceUnavailable` when it does not say where the platform is."""
        own = setup.get("cyoda", {})
        self._setup: Mapping[str, Any] = own if isinstance(own, Mapping) else {}
        if not isinstance(self._setup.get("url"), str):
            raise SourceUnavailable(
                "the operator has set up no [sources.cyoda] with the url of the platform (…/api)"
            )
        try:
            self._apis = CyodaApis(self._setup["url"], credentials=self._credentials(), timeout=_TIMEOUT)
        except UsageError as wrong:
            raise SourceUnavailable(f"[sources.cyoda]: {wrong}") from None

    def get(self, path: str, **query: object) -> bytes:
        """The answer to a GET. Raises `SourceUnavailable`, as a `SourceAway` where none came."""
        return self._ask("GET", path, None, query)

    def post(self, path: str, body: bytes, **query: object) -> bytes:
        """The answer to a POST. Raises as `get` does."""
        return self._ask("POST", path, body, query)

    def _ask(self, method: str, path: str, body: bytes | None, query: Mapping[str, object]) -> bytes:
        for number in range(1, _TRIES + 1):
            try:
                return self._apis.mine().call(method, path, body, query=query)
            except PlatformRefused as refused:
                raise SourceUnavailable(str(refused)) from None
            except PlatformAway as away:
                if number == _TRIES:
                    raise SourceAway(str(away)) from None
                time.sleep(max(_PAUSE * 2 ** (number - 1), min(away.wait or 0.0, _TIMEOUT)))
        raise AssertionError("the last try answers or raises")

    def close(self) -> None:
        """Free the connections."""
        self._apis.close()

    def _credentials(self) -> Credentials | None:
        if "token-url" not in self._setup:
            return None
        file = str(self._setup.get("client-secret-file", ""))
        try:
            secret = Path(file).read_text().strip()
        except OSError as error:
            raise SourceUnavailable(f"sources.cyoda.client-secret-file {file}: {error.strerror}") from None
        return Credentials(str(self._setup["token-url"]), str(self._setup.get("client-id", "")), secret)


class CyodaSearchSource:
    """Entities of a model that meet a condition: `reference` is `MODEL/VERSION`.

    `condition` is the platform's; `conditions` are several, asked one after the other. The platform notes
    what a search finds, and hands it over page by page as it was at that moment.
    """

    def __init__(self, spec: SourceSpec) -> None:
        """Raises `SourceUnavailable` when something it takes is missing."""
        if not _MODEL.fullmatch(spec.reference):
            raise SourceMisdescribed(
                "reference", f"must be MODEL/VERSION, like Position/1; found {spec.reference!r}"
            )
        self.name = spec.reference
        self._platform = Platform(spec.setup)
        given = spec.options.get("conditions", [spec.options.get("condition", EVERYTHING)])
        if not isinstance(given, list) or not given or not all(isinstance(one, dict) for one in given):
            member = "conditions" if "conditions" in spec.options else "condition"
            raise SourceMisdescribed(member, "must be an object, or conditions a list of them")
        self._conditions: list[dict[str, Any]] = given

    def chunks(self) -> Iterator[SourceChunk]:
        # one search finds no entity twice
        translation = _Translation(once=len(self._conditions) > 1)
        try:
            for condition in self._conditions:
                yield from map(translation.chunk, found(self._platform, self.name, condition))
        except EntitiesLost as lost:
            raise SourceAway(str(lost)) from None
        except SearchBroken as broken:
            raise SourceUnavailable(str(broken)) from None
        finally:
            self._platform.close()


class CyodaEntitiesSource:
    """Entities with given ids: `ids` in the document, or a file of them (`reference`), one id a line."""

    def __init__(self, spec: SourceSpec) -> None:
        """Raises `SourceUnavailable` when there are no ids, or nobody said where the platform is."""
        self._platform = Platform(spec.setup)
        ids = spec.options.get("ids")
        self._ids: list[str] | None = None
        if ids is not None:
            if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
                raise SourceMisdescribed("ids", "must be a list of texts")
            self._ids = ids
        self._path = source_path(spec)
        self.name = "cyoda-entities" if self._ids is not None else self._path.name
        if self._ids is None:
            open_regular(self._path).close()

    def chunks(self) -> Iterator[SourceChunk]:
        translation = _Translation(once=True)
        wanted = self._wanted()
        try:
            with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="everyitem-source") as pool:
                while some := list(islice(wanted, _CHUNK_ENTITIES)):
                    yield translation.chunk(list(pool.map(self._fetch, some)))
        finally:
            self._platform.close()

    def _fetch(self, entity_id: str) -> bytes:
        return self._platform.get(f"/entity/{quote(entity_id, safe='')}")

    def _wanted(self) -> Iterator[str]:
        if self._ids is not None:
            yield from self._ids
            return
        with open_regular(self._path) as file:
            for line in file:
                if text := line.decode("utf-8", "replace").strip():
                    yield text


class _Translation:
    """Items of entities."""

    def __init__(self, *, once: bool) -> None:
        """`once`: an entity may come several times, and is one item."""
        self._seen: set[str] | None = set() if once else None
        self._position = 0

    def chunk(self, envelopes: list[bytes]) -> SourceChunk:
        """Some entities, in the order they came; what is none is a fault of its place."""
        texts, lines, faults = [], [], []
        for text in envelopes:
            self._position += 1
            try:
                envelope = _envelope(text)
            except msgspec.MsgspecError as error:
                faults.append(SourceFault(self._position, f"the platform sent what is no entity: {error}"))
                continue
            meta = envelope.meta
            if self._seen is not None:
                if meta.id in self._seen:
                    continue
                self._seen.add(meta.id)
            item = {"itemId": meta.id, "state": meta.state, "data": envelope.data}
            texts.append(msgspec.json.encode(item))
            lines.append(self._position)
        return SourceChunk(texts, lines, faults)
