"""Which failed items a redrive runs again, and with which payloads."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import msgspec

from everyitem.faces.api.explanation import find_indices
from everyitem.model.errors import UsageError
from everyitem.model.items import Items
from everyitem.ports.execution import ExecutionRecord
from everyitem.ports.outcome import FailedItem
from everyitem.ports.store import Store

_MOST_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Failed items to run again, by index; `passed_over` were asked for but have not failed."""

    indices: tuple[int, ...]
    corrections: Mapping[int, bytes]
    passed_over: tuple[str, ...]


def select_failed(
    store: Store,
    record: ExecutionRecord,
    *,
    error: str | None = None,
    item_ids: Sequence[str] = (),
    corrected: Mapping[str, bytes] | None = None,
) -> Selection:
    """The failed items that match: all of them, narrowed by error text and by the ids given.

    `error` is looked for, in any case, in the failure's code, type and message. `corrected` maps item ids
    to new payloads (JSON text) and narrows to these items like `item_ids` does.

    Raises:
        UsageError: an id belongs to no item of the batch.
    """
    corrected = corrected or {}
    wanted = {*item_ids, *corrected}
    needle = (error or "").casefold()
    chosen: dict[str, int] = {}
    failed_ids: set[str] = set()
    for failed in store.failures(record.execution_key):
        if failed.item_id in wanted:
            failed_ids.add(failed.item_id)
        if (not wanted or failed.item_id in wanted) and needle in _text_of(failed):
            chosen[failed.item_id] = failed.index
    not_failed = sorted(wanted - failed_ids)
    _refuse_unknown(store, record, not_failed)
    return Selection(
        indices=tuple(chosen.values()),
        corrections={chosen[name]: payload for name, payload in corrected.items() if name in chosen},
        passed_over=tuple(not_failed),
    )


def read_corrections(path: str | PathLike[str], items: Items | None) -> dict[str, bytes]:
    """Corrected items of `items` from a JSON lines file: one object with its `itemId` a line.

    Without `items` nobody here knows which ids there are.

    Raises:
        UsageError: the file cannot be read, a line is not such an object, or no item has its id; names all
            of these lines.
    """
    try:
        lines = Path(path).read_bytes().splitlines()
    except OSError as problem:
        raise UsageError(f"cannot read {path}: {problem.strerror or problem}") from problem
    corrected: dict[str, bytes] = {}
    lines_of: dict[str, int] = {}
    faults: list[tuple[int, str]] = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                item_id, payload = _corrected_item(line)
                if item_id in corrected:
                    raise ValueError(f"itemId {item_id!r} occurs twice")
                corrected[item_id], lines_of[item_id] = payload, number
            except ValueError as problem:
                faults.append((number, str(problem)))
    known = corrected if items is None else find_indices(items, corrected)
    faults += [
        (number, f"the batch has no item {item_id!r}")
        for item_id, number in lines_of.items()
        if item_id not in known
    ]
    if faults:
        more = f"; and {len(faults) - _MOST_NAMED} more" if len(faults) > _MOST_NAMED else ""
        named = [f"{path}:{number}: {problem}" for number, problem in sorted(faults)[:_MOST_NAMED]]
        raise UsageError("; ".join(named) + more + "; nothing was redriven")
    return corrected


def correction_texts(items: Mapping[str, object]) -> dict[str, bytes]:
    """Corrected items given as Python values, as JSON text. What is JSON text already stays as it is.

    Raises:
        UsageError: a value is not JSON.
    """
    texts = {}
    for item_id, item in items.items():
        try:
            if isinstance(item, msgspec.Raw):
                texts[item_id] = msgspec.json.format(item, indent=-1)
                continue
            text = msgspec.json.encode(item)
            if msgspec.json.decode(text) != item:
                raise ValueError("JSON cannot say it exactly (NaN, a set, a tuple or a non-string key)")
        except (TypeError, ValueError, msgspec.MsgspecError) as problem:
            raise UsageError(f"the corrected item {item_id!r} is not JSON: {problem}") from problem
        texts[item_id] = text
    return texts


def _corrected_item(line: bytes) -> tuple[str, bytes]:
    try:
        item = msgspec.json.decode(line)
        text = msgspec.json.format(line, indent=-1)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise ValueError(f"not JSON: {problem}") from problem
    item_id = item.get("itemId") if isinstance(item, dict) else None
    if not isinstance(item_id, str) or not item_id:
        raise ValueError('a corrected item is an object with its "itemId" (for unnamed items: the position)')
    return item_id, text


def _text_of(failed: FailedItem) -> str:
    return f"{failed.code} {failed.type}: {failed.message}".casefold()


def _refuse_unknown(store: Store, record: ExecutionRecord, item_ids: Iterable[str]) -> None:
    asked = list(item_ids)
    known = find_indices(store.items(record.execution_key), asked) if asked else {}
    if unknown := [item_id for item_id in asked if item_id not in known]:
        named = ", ".join(map(repr, unknown[:_MOST_NAMED]))
        more = f" and {len(unknown) - _MOST_NAMED} more" if len(unknown) > _MOST_NAMED else ""
        raise UsageError(f"batch {record.batch_id!r} has no item {named}{more}; nothing was redriven")
