"""How long a batch will take, at which parallelism, and what would make it faster. Pure."""

import math
from collections.abc import Sequence

import msgspec

from everyitem.engine.scalability import Scalability
from everyitem.faces.api.views import View, moment
from everyitem.model.batch import ProcessingBatch
from everyitem.model.resources import NodeKind

#: Parallelisms a curve shows, as far as slots are allocated; the planned one and the last come in between.
CURVE = (1, 2, 5, 10, 20, 50, 100)
#: Seconds the engine needs per item however short the item is (docs/benchmarks.md, durable no-op).
ENGINE_SECONDS = 5e-6
#: Share of the time of an item above which it computes rather than waits.
COMPUTES = 0.7
#: A gain below this is not worth saying.
WORTHWHILE = 1.15


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What items took at one parallelism."""

    parallelism: int
    #: Seconds of each item, over all of its attempts.
    seconds: Sequence[float]
    failed: int = 0
    #: Seconds from the first item's start to the last one's end; None: every worker was busy all the time.
    elapsed: float | None = None
    #: Share of the items' seconds in which a processor computed, 0 to 1; None where it was not seen.
    computing: float | None = None

    @property
    def rate(self) -> float:
        """Items per second; never more than the workers, or the engine, can have done."""
        count = len(self.seconds)
        least = max(sum(self.seconds) / self.parallelism, count * ENGINE_SECONDS)
        return count / max(least, self.elapsed or 0.0)


class CurvePoint(View, frozen=True, kw_only=True):
    """What the batch would take at one parallelism."""

    parallelism: int
    items_per_second: float
    duration_seconds: float
    #: Whether this parallelism was tried, or follows from the others.
    measured: bool


class ItemTimes(View, frozen=True, kw_only=True):
    """Milliseconds of the items looked at, at the planned parallelism."""

    mean: float
    median: float
    p95: float
    longest: float


class Forecast(View, frozen=True, kw_only=True):
    """What is to be expected of a batch."""

    #: `sample`: some of its items ran; `history`: the latest finished batch of the same processor tells.
    basis: str
    #: How many items that were.
    items: int
    failed: int
    item_time_ms: ItemTimes | None
    duration_seconds: float
    #: Bounds of the duration in nineteen of twenty cases, as far as the items looked at are like the others;
    #: None where only their mean is known.
    at_least_seconds: float | None
    at_most_seconds: float | None
    #: RFC 3339, if it began now.
    finishes_at: str | None
    curve: tuple[CurvePoint, ...]
    #: What would make it faster, or what stands in the way.
    advice: tuple[str, ...]


def forecast(
    batch: ProcessingBatch, measured: Sequence[Measured], *, basis: str, now: float
) -> Forecast | None:
    """The forecast for a batch from what its items, or those of an earlier one, took; None without any.

    `now` is epoch seconds.
    """
    measured = [one for one in measured if one.seconds]
    if not measured or not len(batch.items):
        return None
    count, planned = len(batch.items), min(batch.configuration.parallelism, batch.resources.slots)
    scalability = Scalability.fit([(one.parallelism, one.rate) for one in measured])
    nearest = min(measured, key=lambda one: abs(one.parallelism - planned))
    longest = max(max(one.seconds) for one in measured)
    tried = {one.parallelism for one in measured}

    def duration(parallelism: int) -> float:
        return max(count / scalability.throughput(parallelism), longest)

    expected = duration(planned)
    uncertain = _uncertainty(nearest.seconds)
    margin = None if uncertain is None else expected * min(1.0, uncertain)
    levels = {*CURVE, *tried, planned, batch.resources.slots}
    curve = tuple(
        CurvePoint(
            parallelism=level,
            items_per_second=round(scalability.throughput(level), 3),
            duration_seconds=round(duration(level), 3),
            measured=level in tried,
        )
        for level in sorted(levels)
        if level <= batch.resources.slots
    )
    return Forecast(
        basis=basis,
        items=sum(len(one.seconds) for one in measured),
        failed=sum(one.failed for one in measured),
        item_time_ms=_times(nearest.seconds) if len(nearest.seconds) > 1 else None,
        duration_seconds=round(expected, 3),
        at_least_seconds=None if margin is None else round(max(longest, expected - margin), 3),
        at_most_seconds=None if margin is None else round(expected + margin, 3),
        finishes_at=moment(now + expected),
        curve=curve,
        advice=tuple(_advice(batch, measured, curve, planned, longest)),
    )


def _advice(
    batch: ProcessingBatch,
    measured: Sequence[Measured],
    curve: Sequence[CurvePoint],
    planned: int,
    longest: float,
) -> list[str]:
    """One sentence for each thing worth knowing, the gravest first."""
    said: list[str] = []
    by_level = {one.parallelism: one for one in curve}
    expected = by_level[planned].duration_seconds
    items, failed = sum(len(one.seconds) for one in measured), sum(one.failed for one in measured)
    if expected > batch.configuration.timeout:
        said.append(
            f"it will not end within its timeout of {batch.configuration.timeout / 3600:g} h: "
            "raise --timeout-hours or one of the following"
        )
    if failed:
        said.append(f"{failed} of {items} items looked at failed for good")
    best = min(curve, key=lambda one: (one.duration_seconds, one.parallelism))
    if best.parallelism > planned and expected > WORTHWHILE * best.duration_seconds:
        said.append(
            f"--parallelism {best.parallelism} would take {_span(best.duration_seconds)} instead of "
            f"{_span(expected)}"
        )
    elif best.parallelism < planned and expected > WORTHWHILE * best.duration_seconds:
        said.append(
            f"--parallelism {best.parallelism} would do: items hinder one another beyond it "
            f"({_span(best.duration_seconds)} instead of {_span(expected)})"
        )
    computing = [one.computing for one in measured if one.computing is not None]
    kinds = {node.kind for node in batch.resources.nodes}
    if computing and min(computing) > COMPUTES and kinds <= {NodeKind.THREAD, NodeKind.ASYNC}:
        said.append("items compute rather than wait: --nodes process uses all cores, threads only one")
    elif batch.resources.slots == planned and _still_grows(curve):
        said.append(f"throughput still grows with the last of the {planned} slots: allocate more of them")
    if longest > expected / 2 and len(batch.items) > planned:
        said.append(f"the longest item alone takes {_span(longest)}, and no parallelism shortens that")
    return said


def _still_grows(curve: Sequence[CurvePoint]) -> bool:
    """Whether the last slots of the curve still bring most of what they should."""
    if len(curve) < 2:
        return False
    before, last = curve[-2], curve[-1]
    gain = last.items_per_second / before.items_per_second - 1.0
    return gain > 0.7 * (last.parallelism / before.parallelism - 1.0)


def _uncertainty(seconds: Sequence[float]) -> float | None:
    """Two standard errors of the mean, as a share of it; None where nothing is known of the spread."""
    if len(seconds) < 2:
        return None
    mean = sum(seconds) / len(seconds)
    if not mean:
        return 0.0
    variance = sum((one - mean) ** 2 for one in seconds) / (len(seconds) - 1)
    return 2.0 * math.sqrt(variance / len(seconds)) / mean


def _times(seconds: Sequence[float]) -> ItemTimes:
    ordered = sorted(seconds)
    return ItemTimes(
        mean=round(1000 * sum(ordered) / len(ordered), 3),
        median=round(1000 * ordered[(len(ordered) - 1) // 2], 3),
        p95=round(1000 * ordered[math.ceil(0.95 * len(ordered)) - 1], 3),
        longest=round(1000 * ordered[-1], 3),
    )


def _span(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"
