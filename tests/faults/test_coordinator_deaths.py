"""Items that kill the coordinator itself: on thread and async nodes no worker dies in its place."""

from pathlib import Path

import pytest
from tests.acceptance.conftest import Workspace
from tests.faults.rigs.crash import CrashRig

from everyitem.faces.supervision.supervisor import MOST_CRASHES
from everyitem.ports.started import DEATHS

KILLERS = """
import ctypes, os, signal
from everyitem import item_processor

def end(how):
    match how:
        case "segfault":
            ctypes.string_at(0)
        case "exit":
            os._exit(0)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)

def note(item, context):
    with open("ledger", "a") as ledger:
        print(context.item_id, file=ledger)
    if isinstance(item, str):
        end(item)
    return item

@item_processor("plain")
def plain(item, context):
    return note(item, context)

@item_processor("coroutine")
async def coroutine(item, context):
    return note(item, context)
"""


@pytest.fixture
def deadly(tmp_path: Path, root: Path) -> Workspace:
    """A workspace whose items may kill whoever runs them."""
    made = Workspace(tmp_path, root / "src")
    made.processors.write_text(KILLERS)
    return made


def run_until_it_ends(workspace: Workspace, *arguments: object, most: int) -> int:
    """Give the same command again and again; the number of runs that died."""
    for died in range(most + 1):
        done = workspace.do("run", *arguments, "--no-progress")
        if done.stdout:
            assert done.returncode == 0, done.stderr
            return died
    raise AssertionError(f"the coordinator still dies: {done.stderr}")


@pytest.mark.parametrize(
    ("processor", "kind", "how"),
    [
        ("plain", "thread", "segfault"),
        ("plain", "thread", "exit"),
        ("coroutine", "async", "kill"),
        pytest.param("plain", "thread", "kill", marks=pytest.mark.long),
        pytest.param("coroutine", "async", "segfault", marks=pytest.mark.long),
        pytest.param("coroutine", "async", "exit", marks=pytest.mark.long),
    ],
)
def test_an_item_that_kills_every_coordinator_is_quarantined(
    deadly: Workspace, processor: str, kind: str, how: str
) -> None:
    """Once in company, three times alone, then the batch goes on without it, and nobody else has failed."""
    items: list[object] = list(range(300))
    items[150] = how
    document = deadly.document(items, processor=processor)
    died = run_until_it_ends(deadly, document, "--nodes", kind, most=1 + DEATHS)
    assert died == 1 + DEATHS
    (failed,) = deadly.lines("failures", "b", "--json")
    assert failed["itemId"] == "150"
    assert failed["error"]["code"] == "SYSTEM_ERROR"
    assert failed["error"]["type"] == "CoordinatorDied"
    assert f"died {DEATHS} times" in failed["error"]["message"]
    assert (deadly.folder / "ledger").read_text().split().count("150") == died
    assert len(deadly.lines("results", "b")) == 300
    assert deadly.do("verify", "b").returncode == 0
    assert not list(deadly.folder.glob("*.started-*"))


def test_several_killers_are_found_one_after_the_other(deadly: Workspace) -> None:
    """Each costs its own deaths and not those of the others."""
    items: list[object] = list(range(60))
    for index in (3, 4):
        items[index] = "kill"
    document = deadly.document(items, processor="plain")
    run_until_it_ends(deadly, document, most=2 * (1 + DEATHS))
    assert [one["index"] for one in deadly.lines("failures", "b", "--json")] == [3, 4]


@pytest.mark.long
@pytest.mark.parametrize("killers", [3, 12])
def test_a_supervisor_does_not_give_up_while_killers_are_found(deadly: Workspace, killers: int) -> None:
    """As many crashes as end it in a row: each quarantine is a step forward, and starts the count anew."""
    document = deadly.document([*["kill"] * killers, *range(20)], processor="plain", parallelismLevel=1)
    done = deadly.do("run", document, "--no-progress", "--supervise")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("was ended by SIGKILL") >= MOST_CRASHES
    failed = deadly.lines("failures", "b", "--json")
    assert [one["index"] for one in failed] == list(range(killers))
    assert {one["error"]["type"] for one in failed} == {"CoordinatorDied"}


def test_beside_a_process_node_a_killer_costs_a_worker_only(deadly: Workspace) -> None:
    """After its first crash it is a suspect, and suspects run where they can do no harm."""
    items: list[object] = list(range(60))
    items[0] = "kill"
    nodes = [{"nodeId": "t", "kind": "thread", "slots": 1}, {"nodeId": "p", "kind": "process", "slots": 1}]
    document = deadly.document(
        items,
        processor="plain",
        configuration={"maxRetryAttempts": 1, "retry": {"initialDelayMs": 1}},
        allocatedResources={"nodes": nodes},
    )
    assert run_until_it_ends(deadly, document, most=1) <= 1
    (failed,) = deadly.lines("failures", "b", "--json")
    assert (failed["itemId"], failed["error"]["type"]) == ("0", "WorkerDied")


def test_a_process_node_without_slots_is_no_place_for_suspects(deadly: Workspace) -> None:
    """They run alone where there is a slot, and do not wait for a worker that never comes."""
    nodes = [{"nodeId": "t", "kind": "thread", "slots": 1}, {"nodeId": "p", "kind": "process", "slots": 1}]
    document = deadly.document(
        ["kill", *range(20)], processor="plain", parallelismLevel=1, allocatedResources={"nodes": nodes}
    )
    assert run_until_it_ends(deadly, document, most=1 + DEATHS) <= 1 + DEATHS
    (failed,) = deadly.lines("failures", "b", "--json")
    assert (failed["itemId"], failed["error"]["type"]) == ("0", "CoordinatorDied")


@pytest.mark.parametrize("kills", [3, pytest.param(100, marks=[pytest.mark.long, pytest.mark.timeout(900)])])
def test_killed_from_outside_no_innocent_item_is_quarantined(tmp_path: Path, kills: int) -> None:
    """Being in flight, again and again, is no fault; nor is being alone once in a while."""
    # a second of work for each kill, which takes a tenth of it at most: a machine may stand still for a while
    rig = CrashRig(tmp_path, items=200 * kills, kind="thread", seconds=0.02, seed=kills)
    while rig.kills < kills and rig.kill_once(longest=0.1):
        pass
    assert rig.kills == kills, "the batch was done before all kills"
    # exactly the items that raise have failed, and nothing else
    rig.check_end(rig.finish())
    assert not list(tmp_path.glob("*.started-*"))
