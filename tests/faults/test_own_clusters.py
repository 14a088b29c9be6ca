"""Clusters that are started for a batch: they do its work, grow with it, and end with it however it ends."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.faults.rigs.dask_batches import PROCESSORS
from tests.services.slurm import running_slurm

#: Seconds anything may take on a busy machine.
PATIENCE = 120.0

LOCAL = """
[clusters.night]
kind = "local"
workers = 2

[clusters.grows]
kind = "local"
max-workers = 3
"""

SLURM = """
[clusters.farm]
kind = "slurm"
workers = 2
memory-mb = 500

[clusters.farm.options]
queue = "debug"
interface = "lo"
walltime = "00:10:00"
shared_temp_directory = "."
log_directory = "jobs"
"""


class Command:
    """`everyitem run` of a batch on a cluster of the configuration."""

    def __init__(self, folder: Path, cluster: str, count: int, *, clusters: str = LOCAL) -> None:
        self.folder, self.count = folder, count
        self.notes = folder / "calls"
        self.notes.touch()
        (folder / "everyitem.toml").write_text('store = "sqlite:///store.sqlite"\n' + clusters)
        document = {
            "batchId": "own",
            "batchItems": list(range(count)),
            "processingConfiguration": {
                "processor": "dask-sleeper",
                "parameters": {"notes": str(self.notes), "seconds": 0.02},
            },
            "allocatedResources": {"nodes": [{"kind": "dask", "address": f"cluster:{cluster}"}]},
            "executionPlan": {},
        }
        (folder / "batch.json").write_text(json.dumps(document))

    def start(self) -> "subprocess.Popen[str]":
        # temporary folders of the run are looked for in its own
        return subprocess.Popen(
            [sys.executable, "-m", "everyitem", "run", "batch.json", "--processors", str(PROCESSORS)],
            cwd=self.folder,
            env=os.environ | {"TMPDIR": str(self.folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def check(self, process: "subprocess.Popen[str]") -> None:
        """Every item succeeded, and nothing of the cluster is left."""
        output, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, errors
        assert json.loads(output)["result"]["executionResults"]["itemsSuccessful"] == self.count
        assert self.workers() == []
        assert list(self.folder.glob("everyitem-dask-*")) == []

    def workers(self) -> list[int]:
        """Processes of Dask that were started below this folder."""
        return [pid for pid, words in commands() if "dask" in words and str(self.folder) in words]

    def await_calls(self, count: int) -> None:
        """Wait until so many items have been begun."""
        deadline = time.monotonic() + PATIENCE
        while self.notes.read_text().count("+") < count:
            assert time.monotonic() < deadline, "the cluster does not work"
            time.sleep(0.05)


def commands() -> Iterator[tuple[int, str]]:
    """Every process and its command line."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            yield int(entry.name), words


def test_a_cluster_of_the_configuration_does_the_work_and_ends_with_it(tmp_path: Path) -> None:
    """Two workers over TLS on this machine; afterwards no process and no key is left."""
    command = Command(tmp_path, "night", 60)
    command.check(command.start())


@pytest.mark.long
def test_workers_end_with_a_coordinator_that_is_killed(tmp_path: Path) -> None:
    """SIGKILL leaves no worker behind; the same command goes on with a cluster of its own."""
    command = Command(tmp_path, "night", 400)
    process = command.start()
    command.await_calls(50)
    assert command.workers()
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 3 * 10.0
    while command.workers():
        assert time.monotonic() < deadline, "workers outlived their coordinator"
        time.sleep(0.1)
    for folder in tmp_path.glob("everyitem-dask-*"):
        subprocess.run(["rm", "-r", str(folder)], check=True)
    command.check(command.start())


@pytest.mark.long
def test_a_cluster_grows_with_its_work(tmp_path: Path) -> None:
    """It begins with one worker; three slices under way are worth three."""
    command = Command(tmp_path, "grows", 1500)
    process = command.start()
    most, deadline = 0, time.monotonic() + PATIENCE
    while most < 3:
        assert process.poll() is None, "it ended before it had grown"
        assert time.monotonic() < deadline
        most = len(list(tmp_path.glob("everyitem-dask-*/worker-*.log")))
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE)
    assert command.workers() == []


@pytest.mark.long
@pytest.mark.service
def test_jobs_of_a_real_slurm_do_the_work(tmp_path: Path) -> None:
    """SLURM runs the workers as jobs; none is queued or running afterwards."""
    with running_slurm() as slurm:
        command = Command(tmp_path, "farm", 100, clusters=SLURM)
        command.check(command.start())
        assert slurm.jobs() == []
