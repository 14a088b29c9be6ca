"""F13 on separate hosts: workers in network namespaces of their own, with TLS between them and us."""

from collections.abc import Iterator
from pathlib import Path

import dask
import pytest
from tests.faults.rigs.dask_batches import DaskBatch, dask_node
from tests.services.dask import DaskCluster
from tests.services.netns import Hosts, NamespacesMissing, certificates, running_hosts

from everyitem.adapters.nodes.dask.patience import Patience

pytestmark = [pytest.mark.service, pytest.mark.long]


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    """Three hosts."""
    try:
        with running_hosts(3) as found:
            yield found
    except NamespacesMissing as missing:
        pytest.skip(f"no network namespaces: {missing}")


@pytest.fixture
def cluster(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> Iterator[DaskCluster]:
    """A scheduler on our host and a worker on each of the others."""
    with certificates() as tls:
        for name, value in tls.items():
            monkeypatch.setenv(name, value)
        dask.config.refresh()
        started = DaskCluster(0, host=hosts.ours, tls=tls)
        try:
            for name, address in zip(hosts.names, hosts.addresses, strict=True):
                started.start_worker(within=name, host=address)
            started.await_workers(len(hosts.names))
            yield started
        finally:
            started.close()
            monkeypatch.undo()
            dask.config.refresh()


def test_a_batch_runs_on_separate_hosts_over_tls(cluster: DaskCluster, tmp_path: Path) -> None:
    """All items are done, on workers that share no network stack with us."""
    batch = DaskBatch(tmp_path, 150)
    batch.check(batch.run([dask_node(cluster, 3)]))


def test_a_host_whose_cable_is_pulled_is_given_up(
    cluster: DaskCluster, hosts: Hosts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No packet says that it is gone: its silence does, and the others do its items."""
    monkeypatch.setattr(Patience, "silence", 2.0)
    batch = DaskBatch(tmp_path, 300)
    batch.at(60, lambda: hosts.unplug(1))
    batch.check(batch.run([dask_node(cluster, 3)]))
