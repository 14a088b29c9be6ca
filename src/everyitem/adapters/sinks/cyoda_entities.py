"""Each result as an entity of its own, a hundred in a transaction.

What a delivery that was cut short has written is asked for before anything is written, and again whenever
an answer was lost. A unique key on `resultKey` refuses what comes twice all the same.
"""

import threading
from array import array
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec

from everyitem.adapters.cyoda_api import TAKEN, CyodaApi, CyodaApis, PlatformAway, PlatformRefused
from everyitem.adapters.cyoda_search import SearchBroken, found
from everyitem.adapters.sinks.fields import KEY, MOST_BYTES, outcome_fields
from everyitem.adapters.sinks.patience import Patience
from everyitem.ports.outcome import Outcome
from everyitem.ports.sink import Delivery, SinkAway, SinkUnfit
from everyitem.settings.credentials import Credentials

#: Entities of one transaction: what the platform takes by default.
_AT_ONCE: Final = 100
_TIMEOUT: Final = 60.0
_NOT_FOUND: Final = 404

#: An outcome and the JSON text of its entity.
_Entity = tuple[Outcome, bytes]


class _Known(msgspec.Struct):
    index: int
    execution: int
    round: int


class _Envelope(msgspec.Struct):
    data: _Known


class _Key(msgspec.Struct):
    fields: list[str] = []


class _Model(msgspec.Struct, rename="camel"):
    current_state: str = ""
    unique_keys: list[_Key] = []


_encode = msgspec.json.Encoder().encode
_envelope = msgspec.json.Decoder(_Envelope).decode
_model = msgspec.json.Decoder(_Model).decode


class ResultEntities:
    """Writes entities of one model."""

    def __init__(self, url: str, *, credentials: Credentials | None, model: str, patience: float) -> None:
        """`model` is `MODEL/VERSION`; `patience` are seconds the platform may be away."""
        self._api = CyodaApis(url, credentials=credentials, timeout=_TIMEOUT).mine()
        self._model, self._seconds = model, patience

    def check(self, source_kind: str) -> list[str]:
        try:
            model = _model(self._api.get(f"/model/export/SIMPLE_VIEW/{self._model}"))
        except PlatformRefused as refused:
            if refused.status != _NOT_FOUND:
                raise SinkUnfit(f"results cannot be written: {refused}") from None
            raise SinkUnfit(
                f"results are to become entities of the model {self._model}, which is not there; "
                "`everyitem cyoda install` imports BatchItemResult/1; cyoda.results.model names another one"
            ) from None
        except PlatformAway as away:
            raise SinkAway(f"results could not be delivered: {away}") from None
        except msgspec.MsgspecError as error:
            raise SinkUnfit(f"the platform says nothing of the model {self._model}: {error}") from None
        if model.current_state != "LOCKED":
            raise SinkUnfit(f"entities of the model {self._model} can be written once it is locked: lock it")
        if any(key.fields == [f"$.{KEY}"] for key in model.unique_keys):
            return []
        odd = (
            f"the model {self._model} has no unique key on $.{KEY}: two members that deliver at the same "
            "moment could write a result twice"
        )
        return [odd]

    def deliver(self, delivery: Delivery, outcomes: Iterator[Outcome], stop: threading.Event) -> None:
        try:
            _Writing(self._api, self._model, delivery, Patience(self._seconds, stop)).write(outcomes)
        except SearchBroken as broken:
            raise SinkAway(f"results cannot be delivered now: {broken}") from None
        except PlatformRefused as refused:
            # of a search; what is refused of a result is counted
            raise SinkUnfit(f"nobody can tell which results are there: {refused}") from None

    def close(self) -> None:
        self._api.close()


class _Writing:
    """One delivery."""

    def __init__(self, api: CyodaApi, model: str, delivery: Delivery, patience: Patience) -> None:
        self._api, self._model, self._patience = api, model, patience
        self._delivery = delivery
        #: The round of each item's result that is there, 0 for none.
        self._there = array("L", bytes(array("L").itemsize * delivery.item_count))

    def write(self, outcomes: Iterator[Outcome]) -> None:
        """Everything that is not there."""
        if not self._delivery.is_first:
            self._look()
        some: list[_Entity] = []
        size = 0
        for outcome in outcomes:
            if self._is_there(outcome):
                self._delivery.known += 1
                continue
            text = self._entity(outcome)
            if some and (len(some) == _AT_ONCE or size + len(text) > MOST_BYTES):
                self._write_some(some)
                some, size = [], 0
            some.append((outcome, text))
            size += len(text)
        self._write_some(some)

    def _write_some(self, some: list[_Entity]) -> None:
        while some:
            try:
                self._post(some)
            except PlatformAway as away:
                self._patience.wait(away)
                # they may have arrived all the same
                self._look()
                written = len(some)
                some = [one for one in some if not self._is_there(one[0])]
                self._delivery.written += written - len(some)
            except PlatformRefused as refused:
                if len(some) > 1:
                    # all or nothing: which one it is shows when each goes by itself
                    for one in some:
                        self._write_some([one])
                else:
                    self._refused(some[0][0], refused)
                return
            else:
                self._delivery.written += len(some)
                return

    def _post(self, some: Sequence[_Entity]) -> None:
        texts = [text for _, text in some]
        body = texts[0] if len(texts) == 1 else b"[" + b",".join(texts) + b"]"
        path = f"/entity/JSON/{self._model}"
        self._patience.try_once(lambda: self._api.post(path, body, transactionWindow=_AT_ONCE))

    def _refused(self, outcome: Outcome, refused: PlatformRefused) -> None:
        if refused.code == TAKEN:
            self._delivery.known += 1
        else:
            self._delivery.refuse(outcome, str(refused))

    def _entity(self, outcome: Outcome) -> bytes:
        delivery = self._delivery
        whose: dict[str, Any] = {
            "batch": delivery.identity,
            "batchEntityId": delivery.anchor,
            "execution": delivery.execution,
            "round": outcome.round,
            "itemId": outcome.item_id,
            "index": outcome.index,
        }
        return _encode(outcome_fields(delivery, outcome) | whose)

    def _is_there(self, outcome: Outcome) -> bool:
        return self._there[outcome.index] >= outcome.round

    def _look(self) -> None:
        """Ask which results of this batch are there."""
        condition = {
            "type": "simple",
            "jsonPath": "$.batch",
            "operatorType": "EQUALS",
            "value": self._delivery.identity,
        }
        for page in found(_Patient(self._api, self._patience), self._model, condition):
            for text in page:
                with suppress(msgspec.MsgspecError):  # somebody else's, in a model that is not ours alone
                    self._note(_envelope(text).data)

    def _note(self, known: _Known) -> None:
        if known.execution == self._delivery.execution and 0 <= known.index < len(self._there):
            self._there[known.index] = max(self._there[known.index], known.round)


class _Patient:
    """Asks again what may be asked again."""

    def __init__(self, api: CyodaApi, patience: Patience) -> None:
        self._api, self._patience = api, patience

    def get(self, path: str, **query: object) -> bytes:
        """The answer to a GET."""
        return self._patience.ask(lambda: self._api.get(path, **query))

    def post(self, path: str, body: bytes, **query: object) -> bytes:
        """The answer to a POST that changes nothing."""
        return self._patience.ask(lambda: self._api.post(path, body, **query))
