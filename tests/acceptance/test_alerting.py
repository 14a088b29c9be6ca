"""Alerts about what no run tells of itself: a process that died, sums that do not add up."""

import json
import signal
import time

from tests.acceptance.conftest import PATIENCE
from tests.services.http_server import serving

import everyitem
from everyitem.engine import consolidation


def kinds(place) -> dict[str, str]:
    """The alerts there are, and what became of them."""
    return {one["kind"]: one["state"] for one in json.loads(place.do("alerts", "--json").stdout)}


def await_alert(place, kind, state):
    """Wait until it stands so with an alert."""
    deadline = time.monotonic() + PATIENCE
    while (found := kinds(place)).get(kind) != state:
        assert time.monotonic() < deadline, found


def test_a_service_tells_of_a_batch_whose_process_died(workspace, root):
    """Nobody else would; when somebody goes on with it the alert is over."""
    path = workspace.document([1, 2], parameters={"gate": str(workspace.folder / "gate"), "holdAfter": 0})
    running = workspace.start("run", path, "--no-progress")
    workspace.status_when(lambda status: status["inFlight"] > 0)
    running.send(signal.SIGKILL)
    running.end()
    config = workspace.folder / "everyitem.toml"
    config.write_text("[alerts]\nsettleSeconds = 0.1\n")
    with serving(workspace.folder, root / "src", "--processors", workspace.processors):
        await_alert(workspace, "owner-gone", "standing")
        workspace.open_gate()
        assert workspace.do("resume", "b", "--no-progress").returncode == 0
        await_alert(workspace, "owner-gone", "resolved")


def test_control_totals_that_do_not_add_up_are_a_critical_alert(monkeypatch, tmp_path):
    """Derived again from the items, they differ from what was carried along."""
    derive = consolidation.derive

    def off_by_one(name, items, ledger):
        ledger = bytearray(ledger)
        ledger[0] = 0
        return derive(name, items, ledger)

    monkeypatch.setattr(consolidation, "derive", off_by_one)

    @everyitem.item_processor("alerting-sum")
    def keep(item, context):
        return item

    store = f"sqlite:///{tmp_path}/s.db"
    document = {
        "batchId": "sums",
        "batchItems": [{"amount": 1}, {"amount": 2}],
        "processingConfiguration": {"processor": "alerting-sum", "controlTotals": ["amount"]},
        "allocatedResources": {},
        "executionPlan": {},
    }
    everyitem.run(document, store=store)
    with everyitem.open(store) as session:
        told = {alert.kind: alert for alert in session.alerts("sums")}
    assert told["control-totals-mismatch"].level == "critical"
    assert "amount: 3 = 3 + 0 + 0" in told["control-totals-mismatch"].text
