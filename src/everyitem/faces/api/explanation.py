"""The whole story of one item: every attempt over all rounds, and what the item logged."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from everyitem.faces.api.views import ItemError, View, moment
from everyitem.model.errors import UnknownItem
from everyitem.model.items import Items, item_id_of
from everyitem.model.outcome import Failure
from everyitem.ports.doubt import LEFT_BEHIND
from everyitem.ports.execution import ExecutionRecord
from everyitem.ports.outcome import HistoryEntry
from everyitem.ports.store import OnDamage, Store

_decode_raws = msgspec.json.Decoder(list[msgspec.Raw]).decode


class FrameView(View, frozen=True, kw_only=True):
    """One level of the user's code in a traceback."""

    file: str
    line: int
    function: str


class LogLine(View, frozen=True, kw_only=True):
    """Something the item processor logged through `context.logger`."""

    level: str
    message: str


class SettlementView(View, frozen=True, kw_only=True):
    """What a person said of an attempt that was in doubt."""

    #: succeeded, failed or again.
    decision: str
    by: str
    at: str | None
    reason: str
    #: Why the attempt was in doubt.
    doubt: str


class DeferralView(View, frozen=True, kw_only=True):
    """The attempt that awaits its `ItemProcessingCompleted`."""

    attempt: int
    #: When its time is over.
    until: str | None


class Attempt(View, frozen=True, kw_only=True):
    """One recorded call of the item processor for the item."""

    round: int
    #: 1-based within the round. One that used up no retry (`excused`) is repeated under its number.
    attempt: int
    #: SUCCEEDED or FAILED.
    status: str
    #: Whether this attempt decided the item in its round.
    final: bool
    duration_ms: float
    #: Sequence of the checkpoint that holds it.
    checkpoint: int
    recorded_at: str | None
    result_json: msgspec.Raw | UnsetType = msgspec.field(default=UNSET, name="result")
    error: ItemError | UnsetType = UNSET
    #: Outermost first.
    frames: tuple[FrameView, ...] = ()
    #: Members of the exception's group, then what led to it, nearest first.
    causes: tuple[str, ...] = ()
    logs: tuple[LogLine, ...] = ()
    settled: SettlementView | UnsetType = UNSET
    #: Why a failed attempt used up no retry: `outage` (the circuit breaker) or `retry-later`.
    excused: str | UnsetType = UNSET
    #: What its failure has in common with others, whatever their classes: `unreachable`, `database`.
    family: str | UnsetType = UNSET

    @property
    def result(self) -> Any:
        """The decoded result; None for a failed attempt."""
        return None if self.result_json is UNSET else msgspec.json.decode(self.result_json)


class Explanation(View, frozen=True, kw_only=True):
    """What is known of one item."""

    batch_id: str
    execution: int
    item_id: str
    index: int
    #: SUCCEEDED, FAILED, OPEN, DEFERRED or IN_DOUBT.
    status: str
    item_json: msgspec.Raw = msgspec.field(name="item")
    attempts: tuple[Attempt, ...]
    #: Why it is in doubt, and since which attempt.
    doubt: str | UnsetType = UNSET
    #: Which attempt awaits its event, and until when.
    deferred: DeferralView | UnsetType = UNSET

    @property
    def item(self) -> Any:
        """The decoded item."""
        return msgspec.json.decode(self.item_json)


def explain_item(
    store: Store, record: ExecutionRecord, item_id: str, *, on_damage: OnDamage | None = None
) -> Explanation:
    """Everything recorded about an item.

    Raises:
        UnknownItem: the batch has no item of that id.
    """
    items = store.items(record.execution_key)
    index = find_index(items, item_id)
    if index is None:
        last = f"ids run from 0 to {len(items) - 1}" if len(items) and not items.named else "see `results`"
        raise UnknownItem(f"batch {record.batch_id!r} has no item {item_id!r}; {last}")
    history = store.history(record.execution_key, index, on_damage=on_damage)
    intents = store.intents(record.execution_key)
    intent = next((one for one in intents if one.index == index), None)
    deferral = next((one for one in store.deferrals(record.execution_key) if one.index == index), None)
    in_doubt = intent is not None and bool(intent.doubt or not record.owned)
    return Explanation(
        batch_id=record.batch_id,
        execution=record.execution,
        item_id=item_id,
        index=index,
        status=_standing(history, record.round, in_doubt=in_doubt, deferred=deferral is not None),
        deferred=UNSET
        if deferral is None
        else DeferralView(attempt=deferral.attempt, until=moment(deferral.due)),
        doubt=f"attempt {intent.attempt}: {intent.doubt or LEFT_BEHIND}" if intent and in_doubt else UNSET,
        item_json=msgspec.Raw(items.text((index,))[1:-1]),
        attempts=tuple(map(_attempt, history)),
    )


def find_index(items: Items, item_id: str) -> int | None:
    """The position of the item with this id; None when there is none."""
    return find_indices(items, [item_id]).get(item_id)


def find_indices(items: Items, item_ids: Iterable[str]) -> dict[str, int]:
    """The positions of the items with these ids, in one pass; ids nobody has are absent."""
    wanted, found = set(item_ids), {}
    for item_id in wanted:
        if item_id.isascii() and item_id.isdecimal() and str(int(item_id)) == item_id:
            position = int(item_id)
            if position < len(items) and item_id_of(items.text((position,))[1:-1], position) == item_id:
                found[item_id] = position
    if items.named:
        missing = wanted - found.keys()
        for chunk in items.chunks() if missing else ():
            for offset, text in enumerate(_decode_raws(chunk.text)):
                item_id = item_id_of(bytes(text), chunk.first + offset)
                if item_id in missing:
                    found[item_id] = chunk.first + offset
            if len(found) == len(wanted):
                break
    return found


def _standing(history: Sequence[HistoryEntry], current_round: int, *, in_doubt: bool, deferred: bool) -> str:
    if in_doubt:
        return "IN_DOUBT"
    return "DEFERRED" if deferred else _status(history, current_round)


def _status(history: Sequence[HistoryEntry], current_round: int) -> str:
    """The latest round counts: its final attempt, or OPEN when it was redriven and has none yet."""
    final = [entry for entry in history if entry.final]
    if not final:
        return "OPEN"
    latest = final[-1]
    if any(entry.round > latest.round for entry in history) and latest.round < current_round:
        return "OPEN"
    return "SUCCEEDED" if latest.succeeded else "FAILED"


def _outcome(entry: HistoryEntry) -> str:
    if entry.succeeded:
        return "SUCCEEDED"
    return "FAILED" if entry.failure else "IN_DOUBT"


def _excuse(failure: Failure | None) -> str | UnsetType:
    if failure is None or failure.used_up:
        return UNSET
    return "outage" if failure.excused else "retry-later"


def _attempt(entry: HistoryEntry) -> Attempt:
    failure = entry.failure
    return Attempt(
        round=entry.round,
        attempt=entry.attempt,
        status=_outcome(entry),
        final=entry.final,
        duration_ms=round(entry.duration_ms, 3),
        checkpoint=entry.checkpoint,
        recorded_at=moment(entry.recorded_at),
        result_json=msgspec.Raw(entry.result) if entry.result is not None else UNSET,
        error=ItemError(code=failure.code, type=failure.type, message=failure.message) if failure else UNSET,
        frames=tuple(
            FrameView(file=file, line=line, function=function)
            for file, line, function in (failure.frames if failure else ())
        ),
        causes=tuple(failure.causes) if failure else (),
        settled=UNSET
        if entry.settlement is None
        else SettlementView(
            decision=entry.settlement.decision,
            by=entry.settlement.by,
            at=moment(entry.settlement.at),
            reason=entry.settlement.reason,
            doubt=entry.settlement.doubt,
        ),
        excused=_excuse(failure),
        family=(failure and failure.family) or UNSET,
        logs=tuple(LogLine(level=level, message=message) for level, message in entry.logs),
    )
