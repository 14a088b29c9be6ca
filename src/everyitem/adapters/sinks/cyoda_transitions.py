"""Each result as a transition of the item's own entity, with the outcome in a field of it.

An entity is read first: one that carries this outcome already is left alone. The transition is carried out
only on what was read (`If-Match`), so that nobody's change is lost and no transition happens twice.
"""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from enum import Enum, auto
from itertools import islice
from typing import Any, Final
from urllib.parse import quote

import msgspec

from everyitem.adapters.cyoda_api import CyodaApis, PlatformAway, PlatformRefused
from everyitem.adapters.sinks.fields import KEY, outcome_fields
from everyitem.adapters.sinks.patience import Patience
from everyitem.ports.outcome import Outcome
from everyitem.ports.sink import Delivery, SinkUnfit
from everyitem.settings.credentials import Credentials

_TIMEOUT: Final = 60.0
#: Entities that are on their way before the next ones are taken up.
_CHUNK: Final = 256
#: How often others may change an entity between a look at it and the transition.
_MOST_CHANGES: Final = 10
_MODIFIED: Final = 412
_MERGE: Final = "application/merge-patch+json"


class _Became(Enum):
    """What became of one outcome; a refusal is its text."""

    WRITTEN = auto()
    KNOWN = auto()
    LEFT_ALONE = auto()


class _Meta(msgspec.Struct, frozen=True, rename="camel"):
    transaction_id: str = ""


class _Entity(msgspec.Struct):
    data: dict[str, msgspec.Raw]
    meta: _Meta = _Meta()


_encode = msgspec.json.Encoder().encode
_entity = msgspec.json.Decoder(_Entity).decode


class ItemTransitions:
    """Carries out transitions, several at the same time."""

    def __init__(
        self,
        url: str,
        *,
        credentials: Credentials | None,
        succeeded: str | None,
        failed: str | None,
        field: str,
        parallel: int,
        patience: float,
    ) -> None:
        """`succeeded` and `failed` name transitions; without one, items that ended so are left alone.

        `field` is the entity's that gets the outcome; `patience` are seconds the platform may be away.
        """
        self._apis = CyodaApis(url, credentials=credentials, timeout=_TIMEOUT)
        self._succeeded, self._failed, self._field = succeeded, failed, field
        self._parallel, self._seconds = parallel, patience

    def check(self, source_kind: str) -> list[str]:
        if source_kind in ("cyoda-search", "cyoda-entities"):
            return []
        raise SinkUnfit(
            "results are to become transitions of the items' own entities (cyoda.results.to), and these "
            "items are none: take them from an itemSource of kind cyoda-search or cyoda-entities"
        )

    def deliver(self, delivery: Delivery, outcomes: Iterator[Outcome], stop: threading.Event) -> None:
        def carry(outcome: Outcome) -> "_Became | str":
            return self._carry(delivery, outcome, Patience(self._seconds, stop))

        with ThreadPoolExecutor(self._parallel, thread_name_prefix="everyitem-results") as pool:
            while some := list(islice(outcomes, _CHUNK)):
                for outcome, became in zip(some, pool.map(carry, some), strict=True):
                    _count(delivery, outcome, became)

    def close(self) -> None:
        self._apis.close()

    def _carry(self, delivery: Delivery, outcome: Outcome, patience: Patience) -> "_Became | str":
        transition = self._succeeded if outcome.succeeded else self._failed
        if transition is None or outcome.item_id.lower() == delivery.anchor.lower():
            return _Became.LEFT_ALONE
        fields = outcome_fields(delivery, outcome)
        entity_id, tried, changes = quote(outcome.item_id, safe=""), False, 0
        while changes < _MOST_CHANGES:
            try:
                entity = _entity(patience.ask(lambda: self._apis.mine().get(f"/entity/{entity_id}")))
                if _key_of(entity.data.get(self._field)) == fields[KEY]:
                    return _Became.WRITTEN if tried else _Became.KNOWN
                tried = True
                patience.try_once(lambda: self._write(entity_id, transition, fields, entity))  # noqa: B023
            except PlatformAway as away:
                patience.wait(away)
            except PlatformRefused as refused:
                if refused.status != _MODIFIED:
                    return str(refused)
                changes += 1
            except msgspec.MsgspecError as error:
                return f"the platform sent what is no entity: {error}"
            else:
                return _Became.WRITTEN
        return f"somebody changed the entity {changes} times meanwhile"

    def _write(self, entity_id: str, transition: str, fields: dict[str, Any], entity: _Entity) -> bytes:
        # as the platform wrote it: it compares the header's text, and quotes would be part of that
        read = entity.meta.transaction_id or "*"
        return self._apis.mine().call(
            "PATCH",
            f"/entity/JSON/{entity_id}/{transition}",
            _encode({self._field: fields}),
            headers={"Content-Type": _MERGE, "If-Match": read},
        )


def _count(delivery: Delivery, outcome: Outcome, became: "_Became | str") -> None:
    match became:
        case _Became.WRITTEN:
            delivery.written += 1
        case _Became.KNOWN:
            delivery.known += 1
        case _Became.LEFT_ALONE:
            delivery.left_alone += 1
        case str():
            delivery.refuse(outcome, became)


def _key_of(field: msgspec.Raw | None) -> object:
    try:
        found = {} if field is None else msgspec.json.decode(field)
    except msgspec.MsgspecError:
        return None
    return found.get(KEY) if isinstance(found, dict) else None
