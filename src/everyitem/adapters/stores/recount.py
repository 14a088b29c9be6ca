"""Counting again from the bodies of the segments, as proof of the running totals."""

from collections.abc import Callable, Iterable, Sequence

from everyitem.adapters.stores.rounds import FAILED, SUCCEEDED, StoredRound, replay
from everyitem.adapters.stores.segments import StoredSegment, told_by
from everyitem.ports.checkpoint import Counters, SegmentDraft

#: Durations returned at most, about.
_SAMPLE = 10_000


def recount(
    item_count: int,
    rounds: Sequence[StoredRound],
    segments: Iterable[StoredSegment],
    decode: Callable[[StoredSegment], SegmentDraft],
) -> tuple[Counters, list[int]]:
    """Totals of the round in force, and a sorted sample of the items' durations in microseconds.

    `retried` counts outcomes that took more than one attempt, `busy_us` all attempts of all rounds. What no
    segment tells (active time, steals) stays 0.
    """
    columns: list[StoredSegment] = []
    sample: list[int] = []
    retried = busy_us = 0
    step = max(1, item_count // _SAMPLE)
    for segment in segments:
        draft = decode(segment)
        columns.append(told_by(draft, segment))
        durations = [failure.duration_us for failure in draft.failures if failure.final]
        for run in draft.successes:
            durations += run.durations_us
            retried += len(run) if run.attempt > 1 else 0
        retried += sum(failure.final and failure.attempt > 1 for failure in draft.failures)
        busy_us += sum(durations) + sum(
            failure.duration_us for failure in draft.failures if not failure.final
        )
        sample += durations[::step]
    ledger = replay(item_count, rounds, columns)
    counters = Counters(
        succeeded=ledger.count(SUCCEEDED),
        failed=ledger.count(FAILED),
        retried=retried,
        busy_us=busy_us,
        checkpoints=len(columns),
    )
    return counters, sorted(sample)
