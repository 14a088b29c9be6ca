"""Gathering the facts of a report from a store, in passes that hold a few rows at a time."""

import heapq
import platform
import re
import socket
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from importlib.metadata import version
from typing import Any

import msgspec

from everyitem.engine.events import (
    BATCH_EXECUTED,
    BATCH_PROGRESSED,
    CHECKPOINT_CREATED,
    EXECUTION_FAILED,
    ITEM_FAILED,
)
from everyitem.faces.api.report.facts import (
    Availability,
    Cause,
    CheckFact,
    CheckpointFact,
    Checkpoints,
    Earlier,
    Facts,
    Making,
    Moment,
    Pace,
    Report,
    SlowItem,
)
from everyitem.faces.api.views import Status, moment
from everyitem.model.response import rfc3339, success_rate
from everyitem.model.store_url import shown_url
from everyitem.model.totals import Balance
from everyitem.ports.checkpoint import SegmentHeader
from everyitem.ports.execution import ExecutionRecord
from everyitem.ports.outbox import OutboxEvent
from everyitem.ports.store import Store

#: Items, causes, and ids of a cause that are named; checkpoints shown from either end; points of the curve.
_SLOWEST, _CAUSES, _IDS, _CHECKPOINTS, _POINTS = 10, 20, 5, 50, 120
#: Characters of a failure's message.
_MESSAGE = 300

#: Settings whose value is a word or a list of names; of all others only numbers and yes or no are shown.
_WORDS = frozenset(("errorHandlingStrategy", "delivery", "priority", "retry.jitter", "controlTotals"))

_ENDS = {BATCH_EXECUTED: "answered with a SUCCESS", EXECUTION_FAILED: "answered with an ERROR"}


def gather(store: Store, record: ExecutionRecord, *, store_url: str) -> Report:
    """The report of one execution. Reads everything stored of it, and proves it.

    Raises `StoreError` when the store is out of reach, `StoreDamaged` when what is stored cannot be read.
    """
    key = record.execution_key
    faults = tuple(f"{fault.record}: {fault.message}" for fault in store.verify(key))
    # items that failed have a part of their own
    events = store.events(key, without=(ITEM_FAILED, BATCH_PROGRESSED))
    headers = list(store.segments(key))
    response = _decode(record.response)
    status = Status.of(record)
    answered = response if status.state.is_finished or response.get("status") == "ERROR" else {}
    counters = record.counters
    facts = Facts(
        batch_id=record.batch_id,
        execution=record.execution,
        round=record.round,
        state=status.state,
        final=status.state.is_finished and bool(response) and not faults,
        processor=record.processor,
        created_at=moment(record.created_at),
        finished_at=moment(record.finished_at),
        items=record.item_count,
        succeeded=counters.succeeded,
        failed=counters.failed,
        open=record.item_count - counters.succeeded - counters.failed,
        in_doubt=record.in_doubt,
        retried=counters.retried,
        success_rate=success_rate(counters.succeeded, counters.failed, items=record.item_count),
        active_seconds=counters.active_ms / 1000,
        items_digest=record.items_digest,
        chain_digest=headers[-1].digest if headers else "",
        error_code=answered.get("errorCode", ""),
        error_message=answered.get("errorMessage", ""),
        totals=_totals(record, answered),
        checks=tuple(
            CheckFact(name=name, **check) for name, check in _metadata(answered).get("checks", {}).items()
        ),
        faults=faults,
        timeline=tuple(_timeline(record, headers, events)),
        paces=tuple(
            paces(record.created_at, [(one.created_at, one.succeeded + one.failed) for one in headers])
        ),
        slowest=tuple(_slowest(store, key)),
        causes=tuple(_causes(store, key)),
        checkpoints=_checkpoints(headers, events),
        availability=_availability(record, headers),
        settings=shown_settings(record.settings),
        parameters=tuple(sorted(_parameters(record.envelope))),
        earlier=_earlier(store, record),
    )
    return Report(facts=facts, digest=facts.digest, made=_making(store_url))


def paces(began: float, checkpoints: Iterable[tuple[float, int]]) -> Iterator[Pace]:
    """Items per second over equal stretches of time, from (epoch seconds, outcomes) of each checkpoint.

    The outcomes of a checkpoint count as spread evenly over the time since the one before.
    """
    spans: list[tuple[float, float, int]] = []
    start, end, outcomes = began, began, 0
    for at, count in checkpoints:
        if at > end and outcomes and end > start:
            spans.append((start, end, outcomes))
            start, outcomes = end, 0
        # a clock that was set back makes no stretch of its own
        end, outcomes = max(end, at), outcomes + count
    if end > start:
        spans.append((start, end, outcomes))
    if not spans:
        return
    width = (spans[-1][1] - began) / _POINTS
    sums = [0.0] * _POINTS
    for start, end, outcomes in spans:
        first = min(int((start - began) / width), _POINTS - 1)
        last = min(int((end - began) / width), _POINTS - 1)
        for point in range(first, last + 1):
            low, high = max(start, began + point * width), min(end, began + (point + 1) * width)
            sums[point] += outcomes * max(0.0, high - low) / (end - start)
    for point, done in enumerate(sums):
        yield Pace(
            start=began + point * width,
            end=began + (point + 1) * width,
            items_per_second=round(done / width, 3),
        )


def shown_settings(settings: bytes) -> dict[str, str]:
    """Settings in force as texts, but for those that might hold something secret."""
    stored: Mapping[str, Any] = _decode(settings)
    shown = {}
    for name, setting in sorted(stored.items()):
        value = setting.get("value") if isinstance(setting, dict) else None
        if isinstance(value, bool | int | float) or (name in _WORDS and value):
            shown[name] = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return shown


def kind_of(batch_id: str) -> str:
    """What batches of one kind have in common: their id but for the digits, such as a date."""
    return re.sub(r"\d+", "#", batch_id)


def _decode(text: bytes | None) -> dict[str, Any]:
    decoded = msgspec.json.decode(text) if text else {}
    return decoded if isinstance(decoded, dict) else {}


def _metadata(response: Mapping[str, Any]) -> dict[str, Any]:
    within = response.get("result", response)
    found: dict[str, Any] = within.get("executionMetadata") or {}
    return found


def _totals(record: ExecutionRecord, response: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    answered = _metadata(response).get("controlTotals")
    return answered or {
        name: {**balance.texts(), "addsUp": balance.adds_up}
        for name, balance in record.counters.totals.items()
    }


def _parameters(envelope: bytes) -> Iterable[str]:
    configuration = _decode(envelope).get("processingConfiguration")
    parameters = configuration.get("parameters") if isinstance(configuration, dict) else None
    return parameters if isinstance(parameters, dict) else ()


def _timeline(
    record: ExecutionRecord, headers: list[SegmentHeader], events: list[OutboxEvent]
) -> Iterator[Moment]:
    happened = [(record.created_at, "accepted")]
    seen = 0
    for header in headers:
        if header.round > seen:
            seen = header.round
            happened.append((header.created_at, f"round {seen}: first checkpoint"))
    if headers:
        happened.append((headers[-1].created_at, f"last checkpoint, number {headers[-1].sequence}"))
    for event in events:
        if event.type in _ENDS:
            round_, _, run = event.event_id.rpartition("/")[2].partition(".")
            happened.append((event.time, f"round {round_}, run {run}: {_ENDS[event.type]}"))
    for at, what in sorted(happened, key=lambda one: one[0]):
        yield Moment(at=rfc3339(at), what=what)


def _slowest(store: Store, key: int) -> Iterator[SlowItem]:
    # what is damaged is among the faults, and does not keep the rest from being shown
    outcomes = store.outcomes(key, on_damage=lambda _: None)
    for one in heapq.nlargest(_SLOWEST, outcomes, key=lambda outcome: outcome.duration_ms):
        yield SlowItem(
            item_id=one.item_id,
            index=one.index,
            duration_ms=round(one.duration_ms, 3),
            attempts=one.attempts,
            succeeded=one.succeeded,
        )


def _causes(store: Store, key: int) -> Iterator[Cause]:
    """By code and type of the error: messages may differ from item to item, these do not."""
    found: dict[tuple[str, str], tuple[int, str, list[str]]] = {}
    for failed in store.failures(key):
        kind = (failed.code, failed.type)
        count, message, ids = found.get(kind, (0, failed.message[:_MESSAGE], []))
        if len(ids) < _IDS:
            ids.append(failed.item_id)
        found[kind] = (count + 1, message, ids)
    ranked = sorted(found.items(), key=lambda one: (-one[1][0], one[0]))
    for (code, type_), (count, message, ids) in ranked[:_CAUSES]:
        yield Cause(code=code, type=type_, items=count, message=message, first_items=tuple(ids))


def _checkpoints(headers: list[SegmentHeader], events: list[OutboxEvent]) -> Checkpoints:
    totals = {
        data["sequence"]: data["controlTotals"]
        for event in events
        if event.type == CHECKPOINT_CREATED and "controlTotals" in (data := _decode(event.data))
    }
    facts = [
        CheckpointFact(
            sequence=header.sequence,
            round=header.round,
            created_at=rfc3339(header.created_at),
            succeeded=header.succeeded,
            failed=header.failed,
            digest=header.digest,
            totals=totals.get(header.sequence, {}),
        )
        for header in _ends_of(headers)
    ]
    half = min(len(facts), _CHECKPOINTS)
    return Checkpoints(
        count=len(headers),
        first=tuple(facts[:half]),
        last=tuple(facts[half:]),
        with_totals=len(totals),
        adding_up=sum(all(map(_adds_up, one.values())) for one in totals.values()),
    )


def _ends_of(headers: list[SegmentHeader]) -> Iterable[SegmentHeader]:
    """All of a short list, the first and the last of a long one."""
    if len(headers) <= 2 * _CHECKPOINTS:
        return headers
    return [*headers[:_CHECKPOINTS], *deque(headers, maxlen=_CHECKPOINTS)]


def _adds_up(sums: Mapping[str, str]) -> bool:
    return Balance(**{name: Decimal(text) for name, text in sums.items()}).adds_up


def _availability(record: ExecutionRecord, headers: list[SegmentHeader]) -> Availability:
    until = max([record.created_at, record.finished_at or 0.0, *(one.created_at for one in headers[-1:])])
    elapsed = until - record.created_at
    active = min(record.counters.active_ms / 1000, elapsed)
    return Availability(
        elapsed_seconds=round(elapsed, 3),
        active_seconds=round(active, 3),
        inactive_seconds=round(elapsed - active, 3),
        runs=record.runs,
        rounds=record.round,
    )


def _earlier(store: Store, record: ExecutionRecord) -> Earlier | None:
    """The execution before, of a rerun; else the last finished batch of the same kind."""
    if record.execution > 1 and (before := store.find(record.batch_id, record.execution - 1)):
        return _as_earlier(before, "the execution before this one")
    alike = [
        one
        for one in store.executions()
        if one.batch_id != record.batch_id
        and one.processor == record.processor
        and one.status.is_finished
        and one.created_at < record.created_at
        and kind_of(one.batch_id) == kind_of(record.batch_id)
    ]
    if not alike:
        return None
    latest = max(alike, key=lambda one: one.created_at)
    return _as_earlier(latest, "the last finished batch with this item processor and an id of this form")


def _as_earlier(record: ExecutionRecord, relation: str) -> Earlier:
    counters = record.counters
    return Earlier(
        batch_id=record.batch_id,
        execution=record.execution,
        relation=relation,
        items=record.item_count,
        succeeded=counters.succeeded,
        failed=counters.failed,
        active_seconds=counters.active_ms / 1000,
        finished_at=moment(record.finished_at),
        totals={name: balance.texts() for name, balance in counters.totals.items()},
    )


def _making(store_url: str) -> Making:
    return Making(
        made_at=rfc3339(time.time()),
        host=socket.gethostname(),
        version=version("everyitem"),
        python=platform.python_version(),
        platform=platform.platform(),
        store=shown_url(store_url),
    )
