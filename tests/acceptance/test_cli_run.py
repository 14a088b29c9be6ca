"""`everyitem run` and what follows it, from the outside: responses, exit codes, identity, output files."""

import csv
import json
import subprocess
import sys

import pytest

ITEMS = [{"itemId": f"t-{number}", "amount": f"{number}.50"} for number in range(25)]


def response(done: "subprocess.CompletedProcess[str]", code: int = 0):
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def test_a_batch_runs_and_adds_up(workspace):
    """Every item is processed; standard output holds one response and nothing else."""
    answer = response(workspace.do("run", workspace.document(ITEMS)))
    assert answer["status"] == "SUCCESS"
    assert answer["result"]["processedEntity"] == "ProcessingBatch"
    results = answer["result"]["executionResults"]
    assert results == {
        "batchCompleted": True,
        "itemsProcessed": 25,
        "itemsSuccessful": 25,
        "itemsFailed": 0,
        "successRate": 1.0,
    }
    assert sorted(workspace.calls()) == sorted(f"b/t-{number}" for number in range(25))


def test_the_default_store_is_named(workspace):
    """Without --store the path is said at the start, on standard error."""
    command = workspace.command("run", workspace.document([1]))
    at = command.index("--store")
    done = subprocess.run(
        command[:at] + command[at + 2 :],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=workspace._environment,
    )
    assert done.returncode == 0, done.stderr
    assert "store: sqlite:///" in done.stderr.splitlines()[0]


def test_failed_items_are_no_failed_batch(workspace):
    """Exit 0 with failed items; 3 if that was asked for."""
    document = workspace.document([{"itemId": "good"}, {"itemId": "bad", "fail": "no rate"}])
    answer = response(workspace.do("run", document))
    assert answer["result"]["executionResults"]["successRate"] == 0.5
    assert workspace.do("run", document, "--fail-on-item-failure").returncode == 3


def test_the_document_may_come_from_standard_input(workspace):
    """`-` reads it."""
    text = workspace.document(ITEMS).read_text()
    assert response(workspace.do("run", "-", stdin=text))["status"] == "SUCCESS"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "$"),
        ('{"batchId": 3}', "$.batchId"),
        (
            (
                '{"batchId":"b","batchItems":[NaN],"processingConfiguration":{"processor":"work"},'
                '"allocatedResources":{},"executionPlan":{}}'
            ),
            "$.batchItems[0]",
        ),
    ],
)
def test_an_unacceptable_document_is_an_error_response(workspace, text, problem):
    """Exit 1, the specification's shape, every problem with its path; nothing is stored."""
    answer = response(workspace.do("run", "-", stdin=text), 1)
    assert answer["status"] == "ERROR"
    assert set(answer["details"]) == {"systemErrors", "resourceErrors", "dataErrors", "timeoutErrors"}
    assert any(one.startswith(problem) for one in answer["details"]["dataErrors"])
    assert workspace.do("status", "b").returncode == 2


def test_an_unknown_processor_is_an_error_response(workspace):
    """EXECUTION_ERROR with the nearest name."""
    answer = response(workspace.do("run", workspace.document([1], processor="worj")), 1)
    assert answer["errorCode"] == "EXECUTION_ERROR"
    assert "did you mean 'work'" in answer["details"]["dataErrors"][0]


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "nosuch.json"),
        ("run", "b.json", "--processors", "nosuch.py"),
        ("run", "b.json", "--parallelism", "0"),
        ("run", "b.json", "--nosuch"),
        ("run", "b.json", "--store", "mysql://x"),
        ("run", "b.json", "--out", "nosuch/out.json"),
        ("run", "b.json", "--config", "nosuch.toml"),
        ("run", "b.json", "--items", "nosuch.jsonl"),
        ("status", "nosuch"),
        ("results", "nosuch"),
        ("resume", "nosuch"),
        ("nosuch",),
    ],
)
def test_wrong_usage_is_2_and_silent_on_stdout(workspace, arguments):
    """What cannot be carried out is said on standard error only."""
    workspace.document([1])
    done = workspace.do(*arguments)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.strip()
    assert "Traceback" not in done.stderr


def test_the_same_command_again_runs_nothing(workspace):
    """A finished batch answers with the recorded response."""
    document = workspace.document(ITEMS)
    first = workspace.do("run", document)
    calls = workspace.calls()
    second = workspace.do("run", document)
    assert second.stdout == first.stdout
    assert workspace.calls() == calls


@pytest.mark.parametrize("command", [("run", "b.json"), ("resume", "b")])
def test_a_finished_batch_answers_without_its_processor(workspace, command):
    """What is recorded needs nothing to run it."""
    first = workspace.do("run", workspace.document(ITEMS))
    again = workspace.without_processors(*command)
    assert (again.returncode, again.stdout) == (0, first.stdout)
    unfinished = workspace.without_processors("run", workspace.document([1], batch_id="other"))
    assert "no item processor 'work'" in json.loads(unfinished.stdout)["errorMessage"]


def test_processors_may_be_a_module_of_the_working_directory(workspace):
    """Also where the console script is called, whose own folder Python searches instead."""
    (workspace.folder / "pack").mkdir()
    (workspace.folder / "pack" / "__init__.py").write_text("from . import steps\n")
    (workspace.folder / "pack" / "steps.py").write_text(workspace.processors.read_text())
    workspace.document([1, 2])
    script = "import sys; sys.path.remove(''); from everyitem.__main__ import main; main()"
    for kind in ("thread", "process"):
        command = workspace.command("run", "b.json", "--processors", "pack", "--nodes", kind, "--rerun")
        done = workspace.end([sys.executable, "-c", script, *command[3:]])
        assert response(done)["result"]["executionResults"]["itemsSuccessful"] == 2


def test_other_content_under_the_same_id_is_refused(workspace):
    """Nothing is touched, and the recorded batch still answers."""
    first = workspace.do("run", workspace.document(ITEMS))
    answer = response(workspace.do("run", workspace.document([*ITEMS, {"itemId": "new"}])), 1)
    assert answer["errorCode"] == "EXECUTION_ERROR"
    assert workspace.do("run", workspace.document(ITEMS)).stdout == first.stdout


def test_a_rerun_is_the_next_execution(workspace):
    """With idempotency keys of its own; the first one stays to be looked at."""
    document = workspace.document([{"itemId": "t-1"}])
    workspace.do("run", document)
    response(workspace.do("run", document, "--rerun"))
    response(workspace.do("rerun", "b"))
    assert workspace.calls() == ["b/t-1", "b@2/t-1", "b@3/t-1"]
    assert workspace.json("status", "b")["execution"] == 3
    assert workspace.json("status", "b", "--execution", 1)["execution"] == 1
    assert [one["execution"] for one in workspace.json("list")] == [3, 2, 1]


def test_results_come_in_item_order(workspace):
    """Whatever order they ended in, with the digits of the items."""
    workspace.do("run", workspace.document(ITEMS, parallelismLevel=5))
    lines = workspace.lines("results", "b")
    assert [line["index"] for line in lines] == list(range(25))
    assert lines[3] == {
        "itemId": "t-3",
        "index": 3,
        "status": "SUCCEEDED",
        "attempts": 1,
        "result": {"seen": {"itemId": "t-3", "amount": "3.50"}},
        "durationMs": lines[3]["durationMs"],
    }


def test_results_may_be_csv(workspace):
    """A row per item; formulas in a message are neutralised."""
    workspace.do("run", workspace.document([1, {"itemId": "x", "fail": "=cmd()"}]))
    rows = list(csv.DictReader(workspace.do("results", "b", "--format", "csv").stdout.splitlines()))
    assert [row["itemId"] for row in rows] == ["0", "x"]
    assert rows[1]["errorMessage"] == "'=cmd()"


def test_results_may_be_parquet(workspace):
    """Typed columns, for `results` and for `run`; the result as JSON text."""
    from pyarrow import parquet

    document = workspace.document([1, {"itemId": "x", "fail": "=cmd()"}])
    workspace.do("run", document, "--results", "run.parquet")
    workspace.do("results", "b", "--out", "results.parquet")
    for name in ("run.parquet", "results.parquet"):
        rows = parquet.read_table(workspace.folder / name).to_pylist()
        assert [row["itemId"] for row in rows] == ["0", "x"]
        assert json.loads(rows[0]["result"]) == {"seen": 1}
        assert (rows[0]["errorMessage"], rows[1]["errorMessage"]) == (None, "=cmd()")


def test_output_files_hold_what_the_screen_does(workspace):
    """--out the response, --results the results."""
    done = workspace.do("run", workspace.document(ITEMS), "--out", "r.json", "--results", "r.jsonl")
    assert json.loads((workspace.folder / "r.json").read_text()) == json.loads(done.stdout)
    assert (workspace.folder / "r.jsonl").read_text() == workspace.do("results", "b").stdout
    workspace.do("results", "b", "--out", "r.csv")
    assert (workspace.folder / "r.csv").read_text().startswith("itemId,index,status")


def test_items_may_come_from_a_file(workspace):
    """--items replaces the document's."""
    (workspace.folder / "items.jsonl").write_text('{"itemId":"a"}\n{"itemId":"b"}\n')
    answer = response(workspace.do("run", workspace.document([]), "--items", "items.jsonl"))
    assert answer["result"]["executionResults"]["itemsProcessed"] == 2


@pytest.mark.parametrize("kind", ["thread", "process", "async"])
def test_every_kind_of_node_runs_the_same_processor(workspace, kind):
    """The results do not depend on where items ran."""
    answer = response(workspace.do("run", workspace.document(ITEMS), "--nodes", kind, "--parallelism", 2))
    assert answer["result"]["executionResults"]["itemsSuccessful"] == 25


@pytest.mark.parametrize("processor", ["nested", "nested-async"])
@pytest.mark.parametrize("kind", ["thread", "process", "async"])
def test_a_batch_inside_an_item_is_refused(workspace, kind, processor):
    """The item fails and says why; one that ran its own batch would wait for itself."""
    document = workspace.document([1], processor=processor, configuration={"maxRetryAttempts": 0})
    response(workspace.do("run", document, "--nodes", kind))
    [failed] = workspace.lines("failures", "b")
    assert "cannot run a batch itself" in failed["error"]["message"]


@pytest.mark.parametrize("name", ["b.json", "processors.py", "store.db", "items.jsonl"])
def test_an_output_never_replaces_what_the_command_reads(workspace, name):
    """A name given twice by mistake: refused before anything runs."""
    (workspace.folder / "items.jsonl").write_text("1\n")
    workspace.do("run", workspace.document([1], batch_id="before"))
    workspace.document([1])
    before = (workspace.folder / name).read_bytes()
    done = workspace.do("run", "b.json", "--items", "items.jsonl", "--out", name)
    assert (done.returncode, done.stdout) == (2, "")
    assert "written over" in done.stderr
    assert (workspace.folder / name).read_bytes() == before


def test_only_failed_items_are_redriven_with_corrected_payloads(workspace):
    """The next round runs what failed; both rounds stay visible; then there is nothing left to redrive."""
    workspace.do("run", workspace.document([*ITEMS, {"itemId": "bad", "fail": "no rate"}]))
    corrected = workspace.folder / "corrected.jsonl"
    corrected.write_text('{"itemId": "bad", "rate": 1.10}\n')
    before = len(workspace.calls())
    answer = response(workspace.do("redrive", "b", "--items", corrected))
    assert answer["result"]["executionResults"]["itemsFailed"] == 0
    assert workspace.calls()[before:] == ["b/bad"]
    story = workspace.json("explain", "b", "bad", "--json")
    assert [(one["round"], one["status"]) for one in story["attempts"]] == [(1, "FAILED"), (2, "SUCCEEDED")]
    assert story["status"] == "SUCCEEDED"
    assert '"rate": 1.10' in workspace.do("explain", "b", "bad").stdout
    again = workspace.do("redrive", "b")
    assert json.loads(again.stdout) == answer
    assert workspace.do("redrive", "b", "--item", "nosuch").returncode == 2


def test_a_redrive_may_be_narrowed(workspace):
    """By error text and by item."""
    failing = [
        {"itemId": "a", "fail": "red"},
        {"itemId": "b", "fail": "blue"},
        {"itemId": "c", "fail": "red"},
    ]
    workspace.do("run", workspace.document(failing))
    workspace.do("redrive", "b", "--error", "red", "--item", "c")
    assert workspace.calls()[3:] == ["b/c"]
