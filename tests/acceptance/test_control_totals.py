"""Control totals: input = succeeded + failed + open, to the last digit, whatever happens to a batch."""

import json
import signal
import sqlite3
from decimal import Decimal

import pytest

AMOUNTS = {"configuration": {"controlTotals": ["amount"]}}


def item(number, **more):
    """An item whose amount has more digits than a binary float keeps."""
    return {"itemId": f"t-{number}", "amount": f"{number}.000000000000000000{number % 10}", **more}


def total_of(items):
    """The amounts of these items, summed by `decimal`."""
    return sum((Decimal(one["amount"]) for one in items), Decimal(0))


def equation(sums):
    """The four sums, which must add up."""
    parts = [Decimal(sums[name]) for name in ("input", "succeeded", "failed", "open")]
    assert parts[0] == sum(parts[1:])
    return parts


def checkpointed(workspace):
    """The totals each checkpoint was published with."""
    events = workspace.lines("events", "b")
    return [
        equation(event["data"]["controlTotals"]["amount"])
        for event in events
        if event["type"] == "CheckpointCreated"
    ]


def test_totals_add_up_through_a_kill_a_resume_and_a_redrive_with_corrections(workspace):
    """At every checkpoint, in `status` and in the response; `verify` sums them again."""
    items = [item(number, **({"fail": "no"} if number % 10 == 3 else {})) for number in range(40)]
    path = workspace.document(
        items, parameters={"gate": str(workspace.gate), "holdAfter": 20}, checkpointInterval=5, **AMOUNTS
    )
    running = workspace.start("run", path, "--parallelism", 1)
    workspace.status_when(lambda status: status["checkpoints"] >= 3)
    running.send(signal.SIGKILL)
    running.end()
    before = equation(workspace.json("status", "b")["controlTotals"]["amount"])
    assert before[0] == total_of(items)
    assert before[3] > 0
    workspace.open_gate()

    response = workspace.json("resume", "b")
    sums = response["result"]["executionMetadata"]["controlTotals"]["amount"]
    failed = total_of(one for one in items if "fail" in one)
    assert equation(sums) == [total_of(items), total_of(items) - failed, failed, 0]
    assert response["result"]["executionMetadata"]["checks"]["controlTotals"]["passed"]
    assert all(one[0] == total_of(items) for one in checkpointed(workspace))

    fixed = workspace.folder / "fixed.jsonl"
    fixed.write_text(json.dumps({"itemId": "t-3", "amount": "1000.01"}))
    sums = workspace.json("redrive", "b", "--items", fixed)["result"]["executionMetadata"]["controlTotals"][
        "amount"
    ]
    now = total_of(items) - Decimal(items[3]["amount"]) + Decimal("1000.01")
    still = failed - Decimal(items[3]["amount"])
    assert equation(sums) == [now, now - still, still, 0]
    assert Decimal(sums["accepted"]) == total_of(items)
    assert Decimal(sums["corrections"]) == now - total_of(items)
    assert checkpointed(workspace)[-1][0] == now
    assert workspace.json("verify", "b")["sound"]


def test_items_without_an_amount_are_counted_and_named(workspace):
    """They are never a silent 0."""
    items = [item(1), {"itemId": "none"}, {"itemId": "words", "amount": "a lot"}]
    shown = workspace.json("run", workspace.document(items, **AMOUNTS))["result"]["executionMetadata"]
    gaps = shown["controlTotals"]["amount"]["notSummed"]
    assert (gaps["items"], gaps["missing"], gaps["notNumeric"]) == (2, 1, 1)
    assert [one["itemId"] for one in gaps["first"]] == ["none", "words"]
    assert "2 without an amount" in shown["checks"]["controlTotals"]["detail"]


def test_a_batch_without_totals_says_nothing_of_them(workspace):
    """No check, no sums."""
    shown = workspace.json("run", workspace.document([1]))["result"]["executionMetadata"]
    assert shown["controlTotals"] == {}
    assert "controlTotals" not in shown["checks"]


@pytest.mark.parametrize("wrong", ['a"b', "/a~2"])
def test_a_name_that_no_member_can_have_is_a_problem_of_the_document(workspace, wrong):
    """With its path."""
    path = workspace.document([item(1)], configuration={"controlTotals": ["amount", wrong]})
    refused = json.loads(workspace.do("run", path).stdout)
    assert "$.processingConfiguration.controlTotals[1]" in refused["details"]["dataErrors"][0]


def test_a_total_that_was_tampered_with_is_found(workspace):
    """The carried balance is no part of the chain; `verify` sums it from the items."""
    workspace.do("run", workspace.document([item(1), item(2)], **AMOUNTS))
    database = sqlite3.connect(workspace.folder / "store.db")
    with database:
        changed = database.execute(
            "UPDATE execution_states SET counters = replace(counters, '3.0000000000000000003', '3.1')"
        )
        assert changed.rowcount == 1
    database.close()
    found = workspace.do("verify", "b")
    assert found.returncode == 1
    assert "control totals: amount" in found.stdout
