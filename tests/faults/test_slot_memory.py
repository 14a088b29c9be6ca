"""F6 on thread and async nodes: their items share the coordinator's process, which must not be the victim."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BATCH = """
import json, sys, time
import everyitem
from everyitem import item_processor
kind, memory_mb, leak, store = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
kept, running, most = [], [], []

def work(item):
    running.append(item)
    most.append(len(running))
    mine = b"x" * (leak << 20)
    time.sleep(0.2)
    if item["keeps"]:
        kept.append(mine)
    running.remove(item)
    return item["n"]

if kind == "thread":
    @item_processor("p")
    def p(item, context):
        return work(item)
else:
    @item_processor("p")
    async def p(item, context):
        return work(item)

keeps = sys.argv[5] == "keeps"
response = everyitem.run(
    {
        "batchId": "b",
        "batchItems": [{"n": n, "keeps": keeps} for n in range(40)],
        "processingConfiguration": {"processor": "p"},
        "allocatedResources": {"nodes": [{"nodeId": "n", "kind": kind, "slots": 4, "memoryMb": memory_mb}]},
        "executionPlan": {},
        "parallelismLevel": 4,
        "checkpointInterval": 1,
    },
    store=store,
)
print(json.dumps([json.loads(response.to_json()), most]))
"""


def run(root: Path, *arguments: object) -> tuple[dict, list[int]]:
    """The response of a batch in a process of its own, and how many items ran together at each begin."""
    process = subprocess.run(
        [sys.executable, "-c", BATCH, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(root / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    answer, most = json.loads(process.stdout)
    return answer, most


@pytest.mark.parametrize("kind", ["thread", "async"])
def test_items_that_keep_their_memory_end_the_execution_before_the_kernel_does(
    root: Path, tmp_path: Path, kind: str
) -> None:
    """It ends with RESOURCE_ERROR, keeps what is recorded, and goes on once there is more memory."""
    store = f"sqlite:///{tmp_path}/store.sqlite"
    answer, _ = run(root, kind, 200, 16, store, "keeps")
    assert answer["status"] == "ERROR"
    assert answer["errorCode"] == "RESOURCE_ERROR"
    assert "memory is used up" in json.dumps(answer["details"]["resourceErrors"])
    recorded = answer["executionResults"]["itemsSuccessful"]
    assert 0 < recorded < 40
    answer, most = run(root, kind, 4000, 1, store, "keeps")
    assert answer["status"] == "SUCCESS"
    assert answer["result"]["executionResults"]["itemsSuccessful"] == 40
    assert len(most) == 40 - recorded


def test_large_items_in_threads_run_fewer_at_a_time(root: Path, tmp_path: Path) -> None:
    """Four of 48 MB do not fit into 200 MB: intake pauses, fewer run together, and all succeed."""
    answer, most = run(root, "thread", 220, 48, f"sqlite:///{tmp_path}/store.sqlite", "frees")
    assert answer["status"] == "SUCCESS"
    assert max(most) == 4
    assert min(most[8:]) < 4
