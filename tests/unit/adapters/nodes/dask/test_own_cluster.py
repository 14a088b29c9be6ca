"""Clusters that are started for a node: the shapes Dask's projects have, without what they start."""

import asyncio
from typing import Any, Self

import pytest

from everyitem.adapters.nodes.dask import own_cluster
from everyitem.adapters.nodes.dask.link import LinkLost
from everyitem.adapters.nodes.dask.own_cluster import Contact, OwnCluster
from everyitem.model.clusters import ClusterSpec

ADDRESS = "tcp://localhost:8786"


class Operated:
    """As dask-kubernetes' `KubeCluster`: changes are awaited, `adapt` takes two numbers, no `security`."""

    def __init__(self, address: str = ADDRESS) -> None:
        self.scheduler_address = address
        self.changes: list[tuple[str, int, int]] = []
        self.is_closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.is_closed = True

    async def scale(self, n: int) -> None:
        self.changes.append(("scale", n, n))

    async def adapt(self, minimum: int, maximum: int) -> None:
        self.changes.append(("adapt", minimum, maximum))


def contact_of(monkeypatch: pytest.MonkeyPatch, cluster: Operated, **spec: Any) -> Contact:
    """What a node is told of a Kubernetes cluster, which ends afterwards."""
    monkeypatch.setitem(own_cluster._START, "kubernetes", lambda *_: cluster)  # type: ignore[arg-type]

    async def live() -> Contact:
        own = OwnCluster("night", ClusterSpec(kind="kubernetes", **spec))
        contact = await own.contact()
        assert await own.contact() == contact
        await own.close()
        return contact

    return asyncio.run(live())


@pytest.mark.parametrize(
    ("spec", "change"),
    [({"workers": 3}, ("scale", 3, 3)), ({"min_workers": 2, "max_workers": 9}, ("adapt", 2, 9))],
)
def test_the_size_of_a_kubernetes_cluster_is_asked_for_and_awaited(
    monkeypatch: pytest.MonkeyPatch, spec: dict[str, int], change: tuple[str, int, int]
) -> None:
    """Once, and the cluster is ended with its node."""
    cluster = Operated()
    assert contact_of(monkeypatch, cluster, **spec) == Contact(ADDRESS, None)
    assert cluster.changes == [change]
    assert cluster.is_closed


def test_a_cluster_that_would_be_talked_to_in_the_clear_is_ended_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its address leaves this machine without TLS: nothing is sent there."""
    cluster = Operated("tcp://10.0.0.7:8786")
    with pytest.raises(LinkLost, match=r"kubernetes cluster 'night' cannot be started.*unencrypted"):
        contact_of(monkeypatch, cluster, workers=1)
    assert cluster.is_closed
