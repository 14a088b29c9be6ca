"""F22: a disk that is really full, under the real command: store, output, items, log."""

import gzip
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.faults.rigs.crash import CrashRig


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """A file system of so many kilobytes; called again, it gets that size."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def sized(kilobytes: int) -> Path:
        remount = "remount," if folder.is_mount() else ""
        options = f"{remount}size={kilobytes}k"
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=False, capture_output=True
        )
        if done.returncode:
            pytest.skip("mounting a small file system takes root; the injected faults do without")
        return folder

    yield sized
    if folder.is_mount():
        subprocess.run(["umount", folder], check=True)


def test_a_full_disk_under_the_store_ends_the_run_in_good_order(
    tmp_path: Path, small_disk: Callable[[int], Path]
) -> None:
    """A RESOURCE_ERROR that says what to do; with room again the same command ends the batch."""
    store = f"sqlite:///{small_disk(1300)}/s.db"
    rig = CrashRig(tmp_path / "rig", items=300, kind="thread", seconds=0.001, padding=6000, store=store)
    process = rig.start()
    assert process.wait(timeout=60) == 1
    response = json.loads((rig.folder / "out").read_text())
    assert response["errorCode"] == "RESOURCE_ERROR"
    assert "free some" in json.dumps(response)
    small_disk(20_000)
    rig.look(len(rig.ledger()))
    assert 0 < len(rig.recorded) < 300
    rig.check_end(rig.finish())


def test_a_full_disk_under_a_results_file_leaves_the_old_one(
    tmp_path: Path, small_disk: Callable[[int], Path]
) -> None:
    """The response is printed and recorded, the file as it was, and nothing half written lies about."""
    folder = small_disk(40)
    (folder / "results").write_text("old")
    rig = CrashRig(tmp_path / "rig", items=100, kind="thread", seconds=0.0, padding=2000)
    process = rig.start("run", "batch.json", "--results", str(folder / "results"))
    assert process.wait(timeout=60) == 1
    assert json.loads((rig.folder / "out").read_text())["status"] == "SUCCESS"
    assert "No space left" in rig.errors()
    assert [(path.name, path.read_text()) for path in folder.iterdir()] == [("results", "old")]


def test_a_full_disk_under_the_folder_for_temporary_files_refuses_the_batch(
    tmp_path: Path, small_disk: Callable[[int], Path]
) -> None:
    """Items of a large file wait on disk; where they do not fit, nothing is accepted and nothing left."""
    folder = small_disk(1000)
    rig = CrashRig(tmp_path / "rig", items=1, kind="thread")
    line = json.dumps({"number": 1, "padding": "x" * 1000}) + "\n"
    (rig.folder / "items.jsonl").write_text(line * 20_000)
    (rig.folder / "temporary").rmdir()
    (rig.folder / "temporary").symlink_to(folder)
    process = rig.start("run", "batch.json", "--items", "items.jsonl")
    assert process.wait(timeout=60) == 2
    assert "TMPDIR" in rig.errors()
    assert rig.outcomes() == {}
    assert list(folder.iterdir()) == []


def test_a_log_that_takes_nothing_stops_nothing(tmp_path: Path) -> None:
    """What cannot be said on standard error is not said; the batch goes on."""
    rig = CrashRig(tmp_path / "rig", items=100, kind="process", seconds=0.001)
    (rig.folder / "err").symlink_to("/dev/full")
    process = rig.start()
    assert process.wait(timeout=60) == 0
    assert json.loads((rig.folder / "out").read_text())["status"] == "SUCCESS"


def test_a_packed_file_is_refused_and_not_unpacked(tmp_path: Path) -> None:
    """F30: a file of items is text; what is packed into it never comes out."""
    rig = CrashRig(tmp_path / "rig", items=1, kind="thread")
    (rig.folder / "items.jsonl").write_bytes(gzip.compress(b'{"number": 1}\n' * 5_000_000))
    process = rig.start("run", "batch.json", "--items", "items.jsonl")
    peak = 0
    while process.poll() is None:
        # not what `wait4` says: that is inherited from the process that started it
        status = Path(f"/proc/{process.pid}/status").read_text()
        peak = max([peak, *map(int, re.findall(r"^VmHWM:\s*(\d+) kB", status, re.MULTILINE))])
    assert json.loads((rig.folder / "out").read_text())["status"] == "ERROR"
    assert 20_000 < peak < 150_000
