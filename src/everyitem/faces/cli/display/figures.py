"""Numbers, durations and causes, written the same way everywhere."""

from collections.abc import Iterable, Sequence

from everyitem.engine.breaker import Standing
from everyitem.engine.parallelism import Decision
from everyitem.engine.progress import Snapshot
from everyitem.faces.cli.terminal import safe
from everyitem.model.causes import Alike, grouped
from everyitem.model.status import ExecutionStatus
from everyitem.model.wording import many


def count(number: int) -> str:
    """`12,345`."""
    return f"{number:,}"


def percent(done: int, total: int) -> str:
    """Whole per cent, never rounded up to 100 before the end."""
    return f"{100 if not total else done * 100 // total} %"


def rate(per_second: float) -> str:
    """`4,981 items/s`, with a decimal where there are few."""
    return f"{per_second:,.0f} items/s" if per_second >= 10 else f"{per_second:.1f} items/s"


def duration(seconds: float) -> str:
    """`850 ms`, `12 s`, `3 min 05 s`, `4 h 02 min`: two units at most."""
    if seconds < 1:
        return f"{max(0.0, seconds) * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def moment(timestamp: str | None) -> str:
    """`2026-11-23 18:29:25Z` for an RFC 3339 timestamp; empty for none."""
    return "" if timestamp is None else f"{timestamp[:19].replace('T', ' ')}Z"


def causes(failures_by_cause: Iterable[tuple[str, int]], limit: int) -> tuple[Sequence[tuple[str, str]], int]:
    """The most frequent causes as (count, text), and how many further causes there are.

    Messages that differ in numbers, ids and quoted parts only are one cause: an example stands for it.
    """
    ordered = grouped(failures_by_cause)
    return [(count(one.items), _example(one)) for one in ordered[:limit]], max(0, len(ordered) - limit)


def _example(alike: Alike) -> str:
    text = safe(alike.example)
    return text if alike.causes == 1 else f"{text} (and {many(alike.causes - 1, 'more message')} like it)"


def pace(snapshot: Snapshot) -> str:
    """`4,981 items/s`; nothing moves while it is paused, whatever the rate was before."""
    return rate(0.0 if snapshot.status is ExecutionStatus.PAUSED else snapshot.rate_per_second)


def eta(snapshot: Snapshot) -> str:
    """`ETA 8 s`, or an honest `ETA unknown`."""
    if snapshot.status is ExecutionStatus.PAUSED:
        return "ETA unknown"
    return "ETA unknown" if snapshot.eta_seconds is None else f"ETA {duration(snapshot.eta_seconds)}"


def done(snapshot: Snapshot) -> int:
    """Items with an outcome."""
    return snapshot.succeeded + snapshot.failed


def held_back(snapshot: Snapshot) -> str:
    """Why items are held back, empty where they are not."""
    breaker = snapshot.breaker
    if breaker is None or breaker.standing is Standing.CLOSED:
        return ""
    action = "probing" if breaker.standing is Standing.OPEN else "taking up speed again"
    return (
        f"outage for {duration(snapshot.at - breaker.since)}: most items fail with {breaker.named}; {action}"
    )


def parallelism_change(decision: Decision) -> str:
    """The latest change of the slots in use, and why."""
    return f"{many(decision.slots, 'slot')}: {decision.reason}"
