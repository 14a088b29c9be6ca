"""Clusters that are started for a node: the shapes Dask's projects have, without what they start."""

import asyncio
from collections.abc import Generator
from typing import Any, Self

import pytest

from everyitem.adapters.nodes.dask import own_cluster
from everyitem.adapters.nodes.dask.link import NoCluster
from everyitem.adapters.nodes.dask.own_cluster import Contact, OwnCluster
from everyitem.model.clusters import ClusterSpec

ADDRESS = "tcp://localhost:8786"


class Operated:
    """As dask-kubernetes' `KubeCluster`: changes are awaited, `adapt` takes two numbers, no `security`."""

    def __init__(self, address: str = ADDRESS) -> None:
        self.scheduler_address = address
        self.changes: list[tuple[str, int, int]] = []
        self.is_closed = False

    def __await__(self) -> Generator[Any, None, Self]:
        return self._start().__await__()

    async def _start(self) -> Self:
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
    with pytest.raises(NoCluster, match=r"kubernetes cluster 'night' cannot be started.*unencrypted"):
        contact_of(monkeypatch, cluster, workers=1)
    assert cluster.is_closed


class NeverReady(Operated):
    """Pods that are waited for and do not come."""

    async def _start(self) -> Self:
        await asyncio.Event().wait()
        return self


def test_a_cluster_that_does_not_come_up_in_time_is_ended_half_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else it would stand about, and cost, until somebody finds it."""
    cluster = NeverReady()
    with pytest.raises(NoCluster, match="cannot be started"):
        contact_of(monkeypatch, cluster, workers=1, start_seconds=0.01)
    assert cluster.is_closed


def test_who_is_ended_while_a_cluster_starts_ends_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """The node cancels the start, and closes what there is of it."""
    cluster = NeverReady()
    monkeypatch.setitem(own_cluster._START, "kubernetes", lambda *_: cluster)  # type: ignore[arg-type]

    async def live() -> None:
        own = OwnCluster("night", ClusterSpec(kind="kubernetes", workers=1))
        starting = asyncio.create_task(own.contact())
        await asyncio.sleep(0)
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await own.close()

    asyncio.run(live())
    assert cluster.is_closed


def test_options_nobody_knows_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are another project's, so only that can refuse them."""
    monkeypatch.setitem(own_cluster._START, "kubernetes", lambda spec, _: Operated(**spec.options))

    async def live() -> None:
        await OwnCluster("night", ClusterSpec(kind="kubernetes", workers=1, options={"foo": 1})).contact()

    with pytest.raises(NoCluster, match=r"cannot be started: .*foo"):
        asyncio.run(live())
