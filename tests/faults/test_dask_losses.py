"""F13, F14, F43 on Dask: workers, nannies, the scheduler are lost; nothing of the batch is, or is doubled."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.faults.rigs.dask_batches import DaskBatch, Losses, dask_node
from tests.faults.rigs.pace import in_time
from tests.services.dask import DaskCluster

from everyitem.adapters.nodes.dask.patience import Patience


@pytest.fixture
def cluster() -> Iterator[Callable[..., DaskCluster]]:
    """Start a cluster that is ended with the test."""
    clusters: list[DaskCluster] = []

    def start(*arguments: object, **options: object) -> DaskCluster:
        clusters.append(DaskCluster(*arguments, **options))
        return clusters[-1]

    yield start
    for one in clusters:
        one.close()


Start = Callable[..., DaskCluster]


@pytest.fixture(scope="module")
def lively() -> Iterator[DaskCluster]:
    """Four workers for the tests of this file that put another one in the place of each they kill."""
    started = DaskCluster(4)
    yield started
    started.close()


def lose_workers(cluster: DaskCluster, folder: Path, *, losses: int, gap: int, seed: int) -> DaskBatch:
    """Run a batch while one worker after the other is killed, every `gap` outcomes."""
    batch = DaskBatch(folder, (losses + 2) * gap)
    killer = Losses(cluster, seed=seed)
    for number in range(1, losses + 1):
        batch.at(number * gap, killer.strike)
    batch.check(batch.run([dask_node(cluster, 4)]))
    assert killer.count == losses
    return batch


def test_workers_killed_one_after_the_other_lose_and_double_nothing(
    lively: DaskCluster, tmp_path: Path
) -> None:
    """Three SIGKILLs: every item has exactly one outcome, at its first attempt."""
    lose_workers(lively, tmp_path, losses=3, gap=100, seed=1)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_hundred_killed_workers_lose_and_double_nothing(cluster: Start, tmp_path: Path) -> None:
    """A hundred SIGKILLs: every item has exactly one outcome, at its first attempt."""
    batch = lose_workers(cluster(4), tmp_path, losses=100, gap=150, seed=2)
    begun, _ = batch.calls()
    print(f"{batch.count} items, {begun.total() - batch.count} calls repeated after 100 losses")


@pytest.mark.long
@pytest.mark.timeout(600)
def test_nannies_and_their_workers_may_die_apart(cluster: Start, tmp_path: Path) -> None:
    """A nanny starts its worker again at the same place; a nanny that dies takes its worker along."""
    started = cluster(3, nanny=True)
    batch = DaskBatch(tmp_path, 900)
    batch.at(100, lambda: os.kill(started.worker_pids()[0], signal.SIGKILL))
    batch.at(300, started.workers[1].kill)
    batch.at(500, lambda: os.kill(started.worker_pids()[0], signal.SIGKILL))
    batch.check(batch.run([dask_node(started, 3)]))


@pytest.mark.long
@pytest.mark.parametrize("left", [1, 2, 3])
def test_the_batch_ends_with_whatever_workers_are_left(cluster: Start, tmp_path: Path, left: int) -> None:
    """k of 4 workers lost for good: the batch ends, and says how parallel it really was."""
    started = cluster(4)
    batch = DaskBatch(tmp_path, 300)

    def lose_them() -> None:
        for worker in started.workers[left:]:
            started.kill(worker)

    batch.at(60, lose_them)
    response = batch.run([dask_node(started, 4)])
    batch.check(response)
    assert 0 < response.metadata["parallelismAchieved"] < 4


@pytest.mark.long
def test_a_frozen_worker_is_given_up_and_what_it_says_later_is_dropped(
    cluster: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stopped worker holds nothing up for longer than its deadline and some seconds."""
    monkeypatch.setattr(Patience, "silence", 2.0)
    started = cluster(2)
    batch = DaskBatch(tmp_path, 200)
    batch.at(40, lambda: os.killpg(started.workers[0].pid, signal.SIGSTOP))
    batch.at(150, lambda: os.killpg(started.workers[0].pid, signal.SIGCONT))
    begun = time.monotonic()
    batch.check(batch.run([dask_node(started, 2)]))
    # half of it on one worker, 2 s of silence, 5 s to notice; three times that
    assert time.monotonic() - begun < 3 * (200 * 0.02 + 2.0 + 5.0)


def test_a_worker_that_is_frozen_before_its_station_opens_holds_up_nobody(
    lively: DaskCluster, tmp_path: Path
) -> None:
    """The others begin at once, and nothing is sent there before it answers."""
    frozen = lively.workers[0].pid
    os.killpg(frozen, signal.SIGSTOP)
    try:
        batch = DaskBatch(tmp_path, 100)
        begun = time.monotonic()
        batch.check(batch.run([dask_node(lively, 4)]))
        # opening stations takes some 2 s
        assert in_time(time.monotonic() - begun, 3 * (100 * batch.seconds / 3 + 2.0))
    finally:
        os.killpg(frozen, signal.SIGCONT)


def test_local_nodes_go_on_without_the_scheduler(
    cluster: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scheduler dies with all its workers' slices: the node on this machine does the rest."""
    monkeypatch.setattr(Patience, "cluster", 1.0)
    started = cluster(2)
    batch = DaskBatch(tmp_path, 300)
    batch.at(60, lambda: started.kill(started.scheduler))
    here = {"nodeId": "here", "kind": "process", "slots": 2}
    batch.check(batch.run([here, dask_node(started, 2)]))


@pytest.mark.long
def test_a_scheduler_that_comes_back_is_taken_up_again(cluster: Start, tmp_path: Path) -> None:
    """The scheduler is killed and started again with new workers: the same run goes on there."""
    started = cluster(2)
    batch = DaskBatch(tmp_path, 200)

    def restart() -> None:
        for process in (started.scheduler, *started.workers):
            started.kill(process)
        started.start_scheduler()
        started.start_worker()

    batch.at(40, restart)
    batch.check(batch.run([dask_node(started, 2)]))


@pytest.mark.long
def test_without_any_capacity_the_batch_ends_and_can_be_resumed(
    cluster: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All nodes lost is a RESOURCE_ERROR; the same batch goes on elsewhere, and repeats nothing recorded."""
    monkeypatch.setattr(Patience, "cluster", 1.0)
    started = cluster(1)
    batch = DaskBatch(tmp_path, 120)
    batch.at(40, lambda: started.kill(started.scheduler))
    response = batch.run([dask_node(started, 1)])
    assert (response.status, response.error_code) == ("ERROR", "RESOURCE_ERROR")
    assert 40 <= response.items_processed < 120
    started.kill(started.workers.pop())
    started.start_scheduler()
    started.start_worker()
    started.await_workers(1)
    batch.check(batch.run([dask_node(started, 1)]))


def test_at_most_once_calls_nothing_twice_whatever_is_lost(lively: DaskCluster, tmp_path: Path) -> None:
    """Two workers die: what they may have begun is in doubt, the rest has its outcome, no call repeats."""
    # slow enough to be met at work
    batch = DaskBatch(tmp_path, 240, seconds=0.05)
    killer = Losses(lively, seed=3)
    batch.at(60, killer.strike)
    batch.at(140, killer.strike)
    response = batch.run([dask_node(lively, 4)], delivery="at-most-once", inDoubtLimit=30)
    begun, ended = batch.calls()
    assert killer.count == 2
    assert max(begun.values()) == 1
    assert response.error_code == "SYSTEM_ERROR"
    done = {one.index for one in response.results() if one.succeeded}
    assert done <= set(ended)
    assert 0 < batch.count - len(done) <= 30
    assert set(begun) <= set(range(batch.count))
