"""Dashboard and alert rules in deploy/ fit what everyitem exports."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from tests.services.debian import need

from everyitem.adapters.metrics.families import exported_names

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
RULES = DEPLOY / "prometheus/everyitem.rules.yml"
DASHBOARD = DEPLOY / "grafana/everyitem.json"


def names_in(text):
    return set(re.findall(r"\beveryitem_[a-z_]+", text))


def dashboard():
    return json.loads(DASHBOARD.read_text(encoding="utf-8"))


def expressions():
    return [target["expr"] for panel in dashboard()["panels"] for target in panel["targets"]]


def rules():
    (group,) = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return group["rules"]


def test_rules_ask_for_metrics_that_exist():
    """A rule over a metric nobody exports never fires."""
    assert all(names_in(rule["expr"]) and names_in(rule["expr"]) <= exported_names() for rule in rules())


def test_every_rule_says_what_it_means():
    """A name, a severity and a summary; unknown keys are no rule of Prometheus."""
    for rule in rules():
        assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["annotations"]["summary"]
    assert len({rule["alert"] for rule in rules()}) == len(rules())


@pytest.mark.service
@pytest.mark.timeout(300)
def test_prometheus_takes_the_rules():
    """Its own checker reads every expression."""
    promtool = need("promtool", packages=("prometheus",))
    checked = subprocess.run(
        [promtool, "check", "rules", RULES], capture_output=True, text=True, check=False, timeout=60
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_dashboard_shows_every_metric_and_none_that_does_not_exist():
    """What is exported can be seen."""
    shown = names_in(" ".join(expressions()))
    assert shown <= exported_names()
    stems = {re.sub(r"_(total|count|sum|bucket)$", "", name) for name in exported_names()}
    assert {re.sub(r"_(total|count|sum|bucket)$", "", name) for name in shown} == stems


def test_panels_have_places_and_ids_of_their_own():
    """Grafana takes the file as it is: nothing overlaps, every query is complete."""
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}) == len(panels)
    for expression in expressions():
        assert expression.count("(") == expression.count(")")
        assert expression.count("{") == expression.count("}")
