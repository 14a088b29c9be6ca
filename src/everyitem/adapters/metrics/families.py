"""The metrics there are: name, kind, meaning and where each value comes from.

Labels are bounded: `batch` and `execution` only of executions somebody works on, and of at most `MOST` of
them; nothing an item or a document says becomes a label.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from everyitem.model.figures import Timings
from everyitem.ports.observer import Vitals

#: Executions that have series of their own; those with the most items come first.
MOST = 50


class Kind(StrEnum):
    """What Prometheus understands by a metric."""

    GAUGE = "gauge"
    COUNTER = "counter"
    SUMMARY = "summary"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Family:
    """One metric of each active execution; None leaves it out."""

    name: str
    kind: Kind
    meaning: str
    value: Callable[[Vitals, float], float | Timings | None]
    """Takes the vitals and the time (epoch seconds)."""


ITEMS = Family(
    "everyitem_items",
    Kind.GAUGE,
    "Items by `outcome`: `succeeded`, `failed`, `open`; `in_doubt` are part of the open ones.",
    lambda vitals, _: vitals.items,
)
LATENCY = Family(
    "everyitem_attempt_duration_seconds",
    Kind.HISTOGRAM,
    "How long attempts took in the item processor.",
    lambda vitals, _: vitals.figures.latency_total,
)

#: The rest of an execution's metrics: one value each.
SINGLE = (
    Family(
        "everyitem_items_in_flight",
        Kind.GAUGE,
        "Items handed to workers and without an outcome yet.",
        lambda vitals, _: vitals.in_flight,
    ),
    Family(
        "everyitem_retries_waiting",
        Kind.GAUGE,
        "Items that wait for their next attempt.",
        lambda vitals, _: vitals.retries_waiting,
    ),
    Family(
        "everyitem_items_per_second",
        Kind.GAUGE,
        "Outcomes per second over the last ten seconds.",
        lambda vitals, _: vitals.rate_per_second,
    ),
    Family(
        "everyitem_eta_seconds",
        Kind.GAUGE,
        "Expected seconds to the last outcome; absent while it cannot be told.",
        lambda vitals, _: vitals.eta_seconds,
    ),
    Family(
        "everyitem_retries",
        Kind.COUNTER,
        "Failed attempts that are followed by another one.",
        lambda vitals, _: vitals.figures.retries,
    ),
    Family(
        "everyitem_steals",
        Kind.COUNTER,
        "Ranges of items one node took over from another.",
        lambda vitals, _: vitals.figures.steals,
    ),
    Family(
        "everyitem_workers_busy",
        Kind.GAUGE,
        "Slots that are at an item now.",
        lambda vitals, _: vitals.figures.busy,
    ),
    Family(
        "everyitem_workers_allocated",
        Kind.GAUGE,
        "Slots the run may use.",
        lambda vitals, _: vitals.figures.slots,
    ),
    Family(
        "everyitem_workers_lost",
        Kind.COUNTER,
        "Workers that died, ran out of time or memory.",
        lambda vitals, _: vitals.figures.workers_lost,
    ),
    Family(
        "everyitem_nodes_failed",
        Kind.COUNTER,
        "Nodes that cannot run anything any more.",
        lambda vitals, _: vitals.figures.nodes_failed,
    ),
    Family(
        "everyitem_node_availability_ratio",
        Kind.GAUGE,
        "Share of the slots' time at which they were there, over all runs.",
        lambda vitals, _: vitals.figures.node_availability.share,
    ),
    Family(
        "everyitem_checkpoints",
        Kind.COUNTER,
        "Checkpoints over all runs.",
        lambda vitals, _: vitals.checkpoints,
    ),
    Family(
        "everyitem_checkpoint_age_seconds",
        Kind.GAUGE,
        "Seconds since the last checkpoint; absent before the first.",
        lambda vitals, now: (
            None if vitals.last_checkpoint_at is None else max(0.0, now - vitals.last_checkpoint_at)
        ),
    ),
    Family(
        "everyitem_checkpoint_duration_seconds",
        Kind.SUMMARY,
        "How long transactions that hold checkpoints took, waiting for the store included.",
        lambda vitals, _: vitals.figures.checkpoint,
    ),
    Family(
        "everyitem_store_response_seconds",
        Kind.SUMMARY,
        "How long the store took to answer.",
        lambda vitals, _: vitals.figures.store,
    ),
    Family(
        "everyitem_store_errors",
        Kind.COUNTER,
        "Questions the store did not answer.",
        lambda vitals, _: vitals.figures.store_errors,
    ),
    Family(
        "everyitem_store_availability_ratio",
        Kind.GAUGE,
        "Share of the time at which the store answered, over all runs.",
        lambda vitals, _: vitals.figures.store_availability.share,
    ),
    Family(
        "everyitem_active_seconds",
        Kind.COUNTER,
        "Active time over all runs, pauses and downtime excluded.",
        lambda vitals, _: vitals.active,
    ),
    Family(
        "everyitem_window_seconds",
        Kind.GAUGE,
        "Active time the batch timeout allows in the present window.",
        lambda vitals, _: vitals.figures.window or None,
    ),
    Family(
        "everyitem_window_used_seconds",
        Kind.GAUGE,
        "How much of that window is used up.",
        lambda vitals, _: vitals.figures.window_used,
    ),
)

#: About the store as a whole: name, kind, label, meaning.
OVERALL = (
    ("everyitem_executions", Kind.GAUGE, "state", "Executions in the store by `state`."),
    ("everyitem_outbox_events", Kind.GAUGE, "", "Events that are not published yet."),
    (
        "everyitem_outbox_oldest_seconds",
        Kind.GAUGE,
        "",
        "Age of the oldest event that is not published yet; 0 without one.",
    ),
    ("everyitem_alerts", Kind.GAUGE, "level", "Alerts that stand, by `level`."),
)


def exported_names() -> set[str]:
    """Every name a scrape may show, with the endings Prometheus gives them."""
    endings = {
        Kind.GAUGE: ("",),
        Kind.COUNTER: ("_total",),
        Kind.SUMMARY: ("_count", "_sum"),
        Kind.HISTOGRAM: ("_bucket", "_count", "_sum"),
    }
    kinds = {one.name: one.kind for one in (ITEMS, LATENCY, *SINGLE)}
    kinds |= {name: kind for name, kind, _, _ in OVERALL}
    return {name + ending for name, kind in kinds.items() for ending in endings[kind]}
