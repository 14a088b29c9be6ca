"""The Python API as scripts and notebooks use it."""

import asyncio
import json
import subprocess
import sys
import threading

import pytest

import everyitem
from everyitem import item_processor


@item_processor("api-double")
def double(item, context):
    """Twice the amount; negative ones are refused."""
    if item["amount"] < 0:
        raise everyitem.PermanentItemError("negative")
    return {"amount": item["amount"] * 2}


class Gate:
    """Lets as many items pass as it is told; `reached` says that one has come."""

    def __init__(self):
        self.reached = threading.Event()
        self._tickets = threading.Semaphore(0)

    def let_pass(self, items):
        self._tickets.release(items)

    def wait(self):
        self.reached.set()
        self._tickets.acquire(timeout=2)


@pytest.fixture
def gate():
    """A fresh gate for the processor `api-gated`."""
    made = GATES["now"] = Gate()
    return made


GATES = {}


@item_processor("api-gated")
def gated(item, context):
    """Waits at the gate, two seconds at most: time enough for any request to be heard."""
    GATES["now"].wait()
    return item


def document(*items, processor="api-double", batch_id="api", **configuration):
    return {
        "batchId": batch_id,
        "batchItems": list(items),
        "processingConfiguration": {"processor": processor, **configuration},
        "allocatedResources": {},
        "executionPlan": {},
    }


@pytest.fixture
def store(tmp_path):
    return f"sqlite:///{tmp_path}/store.db"


def test_run_returns_a_typed_response(store):
    """Counts, results and failures, and the document itself."""
    response = everyitem.run(document({"amount": 1}, {"amount": -1}), store=store)
    assert (response.status, response.ok) == ("SUCCESS", False)
    assert (response.items_processed, response.items_failed, response.success_rate) == (2, 1, 0.5)
    assert [one.result for one in response.results()] == [{"amount": 2}, None]
    [failed] = response.failures()
    assert (failed.item_id, failed.error.message, failed.item) == ("1", "negative", {"amount": -1})
    assert json.loads(response.to_json()) == response.to_dict()
    assert response.fresh
    assert not everyitem.run(document({"amount": 1}, {"amount": -1}), store=store).fresh


def test_an_error_is_returned(store):
    """A refused document, an unknown processor, other content: responses, not exceptions."""
    refused = everyitem.run({"batchId": 3}, store=store)
    assert (refused.status, refused.error_code) == ("ERROR", "EXECUTION_ERROR")
    assert "$.batchId" in refused.details["dataErrors"][0]
    assert list(refused.results()) == []
    assert everyitem.run(document(processor="nosuch"), store=store).error_code == "EXECUTION_ERROR"
    everyitem.run(document({"amount": 1}), store=store)
    assert everyitem.run(document({"amount": 2}), store=store).status == "ERROR"
    with pytest.raises(RuntimeError, match="EXECUTION_ERROR"):
        refused.raise_for_error()


def test_unusable_arguments_raise(store):
    """A typo, a missing file, a value no batch can have."""
    with pytest.raises(TypeError, match="did you mean 'parallelism'"):
        everyitem.run(document(), store=store, paralelism=2)
    with pytest.raises(everyitem.UsageError):
        everyitem.run("nosuch.json", store=store)
    with pytest.raises(everyitem.UsageError):
        everyitem.run(document(), store=store, parallelism=0)
    with pytest.raises(everyitem.UsageError):
        everyitem.run(document(), store=store, processors="nosuch.py")


def test_files_are_written_as_the_command_line_does(store, tmp_path):
    """`out` and `results`; a place that cannot be written is refused before anything runs."""
    response = everyitem.run(
        document({"amount": 1}), store=store, out=tmp_path / "r.json", results=tmp_path / "r.csv"
    )
    assert json.loads((tmp_path / "r.json").read_text()) == response.to_dict()
    assert (tmp_path / "r.csv").read_text().startswith("itemId,index,status")
    full = everyitem.run(document({"amount": 1}), store=store, out="/dev/full")
    assert (full.status, "cannot write /dev/full" in full.warnings[-1]) == ("SUCCESS", True)


def test_results_and_failures_can_be_read_when_printed(store):
    """No wrapped JSON, no markers of absent fields."""
    response = everyitem.run(document({"amount": 1}, {"amount": -1}), store=store)
    assert [repr(one) for one in response.results()] == [
        "<ItemResult '0': {\"amount\":2}>",
        "<ItemResult '1': ITEM_ERROR PermanentItemError: negative>",
    ]
    assert list(map(repr, response.failures())) == ["<Failed '1': ITEM_ERROR PermanentItemError: negative>"]


def test_progress_is_reported(store):
    """The last snapshot is the end, and every one adds up."""
    seen = []
    everyitem.run(document(*[{"amount": n} for n in range(50)]), store=store, on_progress=seen.append)
    assert seen[-1].succeeded == 50
    assert all(one.items == one.succeeded + one.failed + one.open for one in seen)


def test_run_async_leaves_the_loop_free(store, gate):
    """Other tasks run while the batch does."""

    async def main():
        batch = asyncio.create_task(
            everyitem.run_async(document(1, processor="api-gated"), store=store, parallelism=1)
        )
        await asyncio.to_thread(gate.reached.wait, 30)
        gate.let_pass(1)
        return await batch

    assert asyncio.run(main()).ok


def test_cancelling_run_async_stops_in_good_order(store, gate):
    """The items in flight finish, the rest waits for a resume."""

    async def main():
        batch = asyncio.create_task(
            everyitem.run_async(document(*range(20), processor="api-gated"), store=store, parallelism=1)
        )
        await asyncio.to_thread(gate.reached.wait, 30)
        batch.cancel()
        asyncio.get_running_loop().call_soon(gate.let_pass, 1)
        with pytest.raises(asyncio.CancelledError):
            await batch

    asyncio.run(main())
    with everyitem.open(store) as session:
        assert session.status("api").state == "INTERRUPTED"
        gate.let_pass(20)
        assert session.resume("api").ok


def test_run_works_inside_a_running_loop(store):
    """As in a notebook: the loop waits, nothing breaks."""

    async def main():
        return everyitem.run(document({"amount": 1}), store=store)

    assert asyncio.run(main()).ok


def test_a_switch_stops_from_another_thread(store, gate):
    """What was stopped raises ExecutionInterrupted and can be resumed."""
    switch = everyitem.Switch()

    def stop():
        gate.reached.wait(30)
        switch.stop("enough")
        gate.let_pass(1)

    stopper = threading.Thread(target=stop)
    stopper.start()
    with pytest.raises(everyitem.ExecutionInterrupted, match="resume goes on"):
        everyitem.run(document(*range(200), processor="api-gated"), store=store, parallelism=1, switch=switch)
    stopper.join()
    gate.let_pass(200)
    with everyitem.open(store) as session:
        assert session.resume("api").items_processed == 200


def test_a_session_offers_what_the_commands_do(store):
    """Everything in the store can be looked at, redriven and rerun."""
    with everyitem.open(store) as session:
        assert session.run(document({"amount": 1}, {"amount": -1})).items_failed == 1
        assert session.status("api").state == "COMPLETED_WITH_ERRORS"
        assert [one.batch_id for one in session.list()] == ["api"]
        assert len(list(session.results("api"))) == 2
        assert [one.item_id for one in session.failures("api")] == ["1"]
        assert session.explain("api", "1").attempts[0].error.message == "negative"
        assert len(list(session.checkpoints("api"))) == 1
        assert session.verify("api").sound
        assert session.events("api")[-1].type == "BatchExecuted"
        assert session.response("api").items_processed == 2
        assert session.snapshot("api").failed == 1
        redriven = session.redrive("api", items={"1": {"amount": 5}})
        assert redriven.items_failed == 0
        assert session.status("api").round == 2
        assert session.redrive("api").to_dict() == redriven.to_dict()
        assert session.rerun("api").execution == 2
        with pytest.raises(everyitem.UsageError, match="nosuch"):
            session.status("nosuch")
        with pytest.raises(everyitem.UsageError, match="no item"):
            session.explain("api", "9")


def test_a_script_needs_no_main_guard(workspace):
    """On thread nodes a plain script runs; asked onto processes it says what to do."""
    script = f"""
import everyitem
from everyitem import item_processor

@item_processor("in-script")
def work(item, context):
    return item

batch = {document(1, 2, processor="in-script")!r}
print(everyitem.run(batch, store={workspace.store!r}).to_json())
print(everyitem.run(batch, store={workspace.store!r}, rerun=True, nodes="process").to_json())
"""
    done = workspace.python(script)
    assert done.returncode == 0, done.stderr
    threads, processes = map(json.loads, done.stdout.splitlines())
    assert threads["status"] == "SUCCESS"
    assert processes["errorCode"] == "EXECUTION_ERROR"
    assert "FILE.py" in processes["errorMessage"] + str(processes["details"])


def test_a_registered_module_needs_no_processors(workspace):
    """Importing it is enough, also for worker processes."""
    script = f"""
import everyitem, processors
batch = {document(1, 2, processor="work")!r}
print(everyitem.run(batch, store={workspace.store!r}, nodes="process").to_json())
"""
    done = workspace.python(script)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "SUCCESS"


def test_importing_everyitem_loads_next_to_nothing():
    """Names come when they are used."""
    script = (
        "import sys, everyitem; from everyitem import item_processor, PermanentItemError\n"
        "print({'pydantic', 'typer', 'rich', 'asyncio', 'sqlite3', 'psutil'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_every_public_name_is_there():
    """And nothing else pretends to be."""
    for name in everyitem.__all__:
        assert getattr(everyitem, name) is not None
    with pytest.raises(AttributeError, match="nosuch"):
        _ = everyitem.nosuch
