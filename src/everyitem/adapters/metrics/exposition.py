"""The text Prometheus scrapes, from what is known at that moment."""

from collections.abc import Callable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector

from everyitem.adapters.metrics.families import ITEMS, LATENCY, MOST, OVERALL, SINGLE, Family, Kind
from everyitem.model.figures import LATENCY_BOUNDS, Timings
from everyitem.ports.observer import Overview, Vitals

_LABELS = ("batch", "execution")


def render(overview: Overview, *, now: float) -> bytes:
    """The metrics of any number of batches; `now` are epoch seconds."""
    text: bytes = generate_latest(registry(lambda: overview, lambda: now))
    return text


def registry(look: Callable[[], Overview], clock: Callable[[], float]) -> CollectorRegistry:
    """A registry that looks at each scrape."""
    made = CollectorRegistry()
    made.register(_Overviews(look, clock))
    return made


class _Overviews(Collector):
    def __init__(self, look: Callable[[], Overview], clock: Callable[[], float]) -> None:
        self._look, self._clock = look, clock

    def describe(self) -> list[Metric]:
        """Nothing in advance: a registry that asks would look at the store."""
        return []

    def collect(self) -> Iterator[Metric]:
        overview, now = self._look(), self._clock()
        shown = sorted(overview.vitals, key=lambda one: -one.items)[:MOST]
        yield _items(shown)
        yield _latency(shown)
        for family in SINGLE:
            yield _single(family, shown, now)
        yield from _overall(overview)


def _of(vitals: Vitals) -> list[str]:
    return [vitals.batch_id, str(vitals.execution)]


def _items(shown: list[Vitals]) -> Metric:
    metric = GaugeMetricFamily(ITEMS.name, ITEMS.meaning, labels=(*_LABELS, "outcome"))
    for vitals in shown:
        for outcome in ("succeeded", "failed", "open", "in_doubt"):
            metric.add_metric([*_of(vitals), outcome], getattr(vitals, outcome))
    return metric


def _latency(shown: list[Vitals]) -> Metric:
    metric = HistogramMetricFamily(LATENCY.name, LATENCY.meaning, labels=_LABELS)
    bounds = [*map(str, LATENCY_BOUNDS), "+Inf"]
    for vitals in shown:
        counts = accumulate(vitals.figures.latency)
        metric.add_metric(
            _of(vitals), list(zip(bounds, counts, strict=True)), sum_value=vitals.figures.latency_total
        )
    return metric


def _single(family: Family, shown: list[Vitals], now: float) -> Metric:
    metric: GaugeMetricFamily | CounterMetricFamily | SummaryMetricFamily
    match family.kind:
        case Kind.COUNTER:
            metric = CounterMetricFamily(family.name, family.meaning, labels=_LABELS)
        case Kind.SUMMARY:
            metric = SummaryMetricFamily(family.name, family.meaning, labels=_LABELS)
        case _:
            metric = GaugeMetricFamily(family.name, family.meaning, labels=_LABELS)
    for vitals in shown:
        value = family.value(vitals, now)
        if isinstance(metric, SummaryMetricFamily):
            if isinstance(value, Timings):
                metric.add_metric(_of(vitals), count_value=value.count, sum_value=value.total)
        elif value is not None and not isinstance(value, Timings):
            metric.add_metric(_of(vitals), value)
    return metric


def _overall(overview: Overview) -> Iterator[Metric]:
    values = {
        "everyitem_executions": overview.executions,
        "everyitem_outbox_events": overview.outbox_events,
        "everyitem_outbox_oldest_seconds": overview.outbox_oldest,
        "everyitem_alerts": overview.alerts,
    }
    for name, _, label, meaning in OVERALL:
        value = values[name]
        if value is None:
            continue
        metric = GaugeMetricFamily(name, meaning, labels=(label,) if label else ())
        if isinstance(value, (int, float)):
            metric.add_metric([], value)
        else:
            for which, number in value.items():
                metric.add_metric([which], number)
        yield metric
