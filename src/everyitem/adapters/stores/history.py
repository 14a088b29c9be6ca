"""Every recorded attempt of one item, gathered from the segments that tell of it."""

from collections.abc import Iterable

from msgspec.structs import replace

from everyitem.adapters.stores.index_sets import unpack_indices, unpack_ranges
from everyitem.adapters.stores.segments import StoredSegment
from everyitem.ports.checkpoint import SegmentDraft
from everyitem.ports.doubt import Decision, Settlement
from everyitem.ports.outcome import HistoryEntry


def tells_of(segment: StoredSegment, index: int) -> bool:
    """Whether the segment's body holds anything of the item; looks at columns only."""
    return (
        any(first <= index < first + count for first, count in unpack_ranges(segment.succeeded_ranges))
        or index in unpack_indices(segment.failed_items)
        or index in unpack_indices(segment.touched_items)
    )


def attempts_of(index: int, told: Iterable[tuple[StoredSegment, SegmentDraft]]) -> list[HistoryEntry]:
    """The item's attempts, oldest first; a log record goes to its attempt wherever the two were saved."""
    entries: list[HistoryEntry] = []
    logs: dict[tuple[int, int], list[tuple[str, str]]] = {}
    for segment, draft in told:
        settlement = next((one for one in draft.settlements if one.index == index), None)
        if draft.excuses:
            _excuse(entries, {excuse.attempt for excuse in draft.excuses if excuse.index == index}, segment)
        found = _entries(index, segment, draft)
        if settlement is not None:
            found = _with_settlement(found, segment, settlement)
        entries.extend(found)
        for item, attempt, level, text in draft.logs:
            if item == index:
                logs.setdefault((segment.round, attempt), []).append((level, text))
    entries.sort(key=lambda entry: (entry.round, entry.attempt))
    for entry in entries:
        # attempts of the same number (one that did not count is repeated) share their records
        entry.logs.extend(logs.pop((entry.round, entry.attempt), []))
    return entries


def _entries(index: int, segment: StoredSegment, draft: SegmentDraft) -> list[HistoryEntry]:
    entries = [
        HistoryEntry(
            round=segment.round,
            attempt=failure.attempt,
            succeeded=False,
            final=failure.final,
            duration_ms=failure.duration_us / 1000,
            checkpoint=segment.sequence,
            recorded_at=segment.created_at,
            failure=failure,
            logs=[],
        )
        for failure in draft.failures
        if failure.index == index
    ]
    for run in draft.successes:
        indices = run.indices()
        if index not in indices:
            continue
        position = indices.index(index)
        entries.append(
            HistoryEntry(
                round=segment.round,
                attempt=run.attempt,
                succeeded=True,
                final=True,
                duration_ms=run.durations_us[position] / 1000,
                checkpoint=segment.sequence,
                recorded_at=segment.created_at,
                result=run.result_texts()[position],
                logs=[],
            )
        )
    return entries


def _excuse(entries: list[HistoryEntry], attempts: set[int], segment: StoredSegment) -> None:
    """The latest failures of these attempts, which stand in earlier segments of the round, do not count."""
    for place in reversed(range(len(entries))):
        entry = entries[place]
        if entry.round == segment.round and entry.attempt in attempts and entry.failure is not None:
            attempts.remove(entry.attempt)
            entries[place] = replace(entry, failure=replace(entry.failure, excused=True))


def _with_settlement(
    entries: list[HistoryEntry], segment: StoredSegment, settlement: Settlement
) -> list[HistoryEntry]:
    """The entry of a settled attempt says so; one to be tried again has no outcome, but an entry."""
    if settlement.decision is not Decision.AGAIN:
        return [replace(entry, settlement=settlement) if entry.final else entry for entry in entries]
    settled = HistoryEntry(
        round=segment.round,
        attempt=settlement.attempt,
        succeeded=False,
        final=False,
        duration_ms=0.0,
        checkpoint=segment.sequence,
        recorded_at=segment.created_at,
        settlement=settlement,
        logs=[],
    )
    return [*entries, settled]
