"""The guard, which kills worker processes whose coordinator is gone."""

import os
import select
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from everyitem.adapters.nodes.guard import Guard


@pytest.fixture
def group() -> Iterator[subprocess.Popen[bytes]]:
    """A process group of its own, as a worker has."""
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as process:
        yield process
        process.kill()


def has_ended(process: subprocess.Popen[bytes], timeout: float) -> bool:
    try:
        process.wait(timeout)
    except subprocess.TimeoutExpired:
        return False
    return True


def test_the_end_of_the_pipe_kills_what_is_watched(group: subprocess.Popen[bytes]) -> None:
    """When the coordinator's end of the pipe closes, watched groups are killed before the guard ends."""
    guard = Guard()
    guard.watch(group.pid)
    guard.close()
    assert has_ended(group, 60)
    assert group.returncode == -signal.SIGKILL


def test_released_groups_are_spared(group: subprocess.Popen[bytes]) -> None:
    """A group taken off the list is none of the guard's business any more."""
    guard = Guard()
    guard.watch(group.pid)
    guard.release(group.pid)
    guard.close()
    assert group.poll() is None


def test_signals_of_the_terminal_do_not_end_it(group: subprocess.Popen[bytes]) -> None:
    """Interrupts and terminations leave the guard at its post."""
    guard = Guard()
    guard.watch(group.pid)
    process = guard._process
    assert process is not None
    pidfd = os.pidfd_open(process.pid)
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    # all of them: who runs these tests may have ignored one before
    while not all(_ignores(process.pid, number) for number in signals):
        assert not select.select([pidfd], [], [], 0.01)[0]
    for number in signals:
        process.send_signal(number)
    guard.close()
    os.close(pidfd)
    assert has_ended(group, 60)
    assert process.returncode == 0


def _ignores(pid: int, number: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    (mask,) = [line.split()[1] for line in status.splitlines() if line.startswith("SigIgn")]
    return bool(int(mask, 16) & 1 << (number - 1))


def test_it_starts_with_the_first_group_only() -> None:
    """Without process nodes there is no guard process."""
    guard = Guard()
    assert guard._process is None
    guard.release(1)
    guard.close()
