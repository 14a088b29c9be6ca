"""`everyitem plan --sample`, from the outside."""

import json


def test_a_sample_really_runs_and_leaves_no_trace(workspace):
    """Each of its items is called once, the store knows nothing, and the forecast says what to expect."""
    ledger = workspace.folder / "ledger"
    document = workspace.document(
        [{"itemId": f"t-{n}"} for n in range(200)], parameters={"ledger": str(ledger)}
    )
    planned = workspace.json("plan", document, "--sample", "30", "--processors", workspace.processors)
    forecast = planned["forecast"]
    assert (forecast["basis"], forecast["failed"]) == ("sample", 0)
    called = ledger.read_text().splitlines()
    # and one by itself, to know what beginning and ending cost
    assert forecast["items"] == 30
    assert len(called) == 31
    assert len(set(called)) == 30
    assert all(call.startswith("b~sample/t-") for call in called)
    assert [point["parallelism"] for point in forecast["curve"] if point["measured"]] == [1, 5, 10]
    assert not workspace.folder.joinpath("store.db").exists()


def test_history_tells_where_nothing_is_sampled(workspace):
    """The latest finished batch of the same processor."""
    first = workspace.document([{"itemId": f"t-{n}"} for n in range(50)])
    assert workspace.json("plan", first)["forecast"] is None
    workspace.do("run", first)
    assert workspace.json("plan", first)["forecast"]["basis"] == "history"


def test_failures_of_a_sample_are_told(workspace):
    """Who sees them before the run can mend them before the run."""
    document = workspace.document([{"itemId": f"t-{n}", "fail": "no rate"} for n in range(20)])
    forecast = workspace.json("plan", document, "--sample", "10", "--processors", workspace.processors)[
        "forecast"
    ]
    assert "10 of 10 items looked at failed for good" in forecast["advice"]


def test_an_at_most_once_batch_is_not_sampled(workspace):
    """Its items would be called twice."""
    document = workspace.document([{"itemId": "a"}], configuration={"delivery": "at-most-once"})
    refused = workspace.do("plan", document, "--sample", "1", "--processors", workspace.processors)
    assert refused.returncode == 2
    assert "at-most-once" in refused.stderr


def test_who_asks_for_no_sample_calls_nothing(workspace):
    """`plan` stays what it was."""
    ledger = workspace.folder / "ledger"
    document = workspace.document([{"itemId": "a"}], parameters={"ledger": str(ledger)})
    assert json.loads(workspace.do("plan", document).stdout)["forecast"] is None
    assert not ledger.exists()
