"""What Prometheus gets: every metric with its name, for any number of batches, with bounded labels."""

import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from everyitem.adapters.metrics.exposition import render
from everyitem.adapters.metrics.families import ITEMS, LATENCY, MOST, OVERALL, SINGLE, exported_names
from everyitem.model.figures import Figures, Timings
from everyitem.model.status import ExecutionStatus
from everyitem.ports.observer import Overview, Vitals

ROOT = Path(__file__).resolve().parents[4]


def vitals(batch_id="b", items=10, **more):
    return Vitals(
        batch_id=batch_id,
        execution=1,
        status=ExecutionStatus.RUNNING,
        items=items,
        succeeded=4,
        failed=1,
        open=items - 5,
        last_checkpoint_at=90.0,
        eta_seconds=3.0,
        figures=Figures(
            latency=(1, 2, *[0] * 11), latency_total=0.5, checkpoint=Timings(2, 0.5, 0.3, 0.2), window=100.0
        ),
        **more,
    )


FULL = Overview(
    vitals=(vitals(),),
    executions={"RUNNING": 1},
    alerts={"critical": 2},
    outbox_events=3,
    outbox_oldest=12.0,
)


def samples(overview, now=100.0):
    text = render(overview, now=now).decode()
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def value(name, **labels):
    (found,) = [
        one.value for one in samples(FULL) if one.name == name and labels.items() <= one.labels.items()
    ]
    return found


def test_every_name_is_exported_and_no_other():
    """Docs, dashboard and rules are checked against these names."""
    assert {sample.name for sample in samples(FULL)} == exported_names()


def test_values_are_those_of_the_batch():
    """Counts, sums and classes add up as Prometheus wants them: cumulated."""
    assert value("everyitem_items", outcome="open") == 5
    assert value("everyitem_attempt_duration_seconds_bucket", le="0.001") == 3
    assert value("everyitem_attempt_duration_seconds_count") == 3
    assert value("everyitem_checkpoint_duration_seconds_sum") == 0.5
    assert value("everyitem_checkpoint_age_seconds") == 10.0
    assert value("everyitem_alerts", level="critical") == 2
    assert value("everyitem_outbox_events") == 3


def test_what_cannot_be_told_is_absent():
    """An ETA of zero would be a lie."""
    names = {one.name for one in samples(Overview(vitals=(vitals().__class__(**unknown()),)))}
    assert "everyitem_eta_seconds" not in names
    assert "everyitem_checkpoint_age_seconds" not in names
    assert "everyitem_executions" not in names


def unknown():
    known = {name: getattr(vitals(), name) for name in Vitals.__struct_fields__}
    return known | {"eta_seconds": None, "last_checkpoint_at": None}


def test_batches_with_series_of_their_own_are_limited_to_the_largest():
    """A thousand batches do not make Prometheus fall over."""
    many = tuple(vitals(f"b{number}", items=number + 5) for number in range(MOST + 30))
    shown = {one.labels["batch"] for one in samples(Overview(vitals=many)) if "batch" in one.labels}
    assert shown == {f"b{number}" for number in range(30, MOST + 30)}


def test_a_batch_id_cannot_forge_a_line():
    """Quotes and line breaks in a label are escaped."""
    hostile = 'x"} 1\neverything_is_fine 1\n#'
    found = samples(Overview(vitals=(vitals(hostile),)))
    assert {one.labels["batch"] for one in found} == {hostile}
    assert {one.name for one in found} <= exported_names()


def test_the_page_describes_exactly_the_metrics_there_are():
    """The table of docs/observability.md: name, kind and meaning of each."""
    page = (ROOT / "docs/observability.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(everyitem_[a-z_]+)` \| (\w+) \| (.*?) \|$", page, re.MULTILINE)
    families = [(one.name, one.kind.value, one.meaning) for one in (ITEMS, LATENCY, *SINGLE)]
    overall = [(name, kind.value, meaning) for name, kind, _, meaning in OVERALL]
    assert rows == families + overall
