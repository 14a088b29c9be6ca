"""A Dask node's decisions with a scheduler that is none: what the node says to the engine, and when."""

import asyncio
from collections.abc import Callable, Collection
from typing import Any

from everyitem.adapters.nodes.dask.dispatch import Dispatch
from everyitem.adapters.nodes.dask.frames import Opening, Software, Welcome
from everyitem.adapters.nodes.dask.link import NoCluster
from everyitem.adapters.nodes.dask.patience import Patience
from everyitem.model.items import InMemoryItems
from everyitem.ports.node import HolderJoined, NodeFailed, NodeMessage, Post
from everyitem.work.assignment import Assignment, OriginKind, ProcessorOrigin

#: Seconds a task takes that does nothing.
ROUND_TRIP = 0.03


class LateLink:
    """A connection to a scheduler whose only worker comes after it."""

    is_up = True

    def __init__(self) -> None:
        self.looks = 0

    async def workers(self) -> dict[str, int]:
        self.looks += 1
        return {"tcp://worker": 1} if self.looks > 1 else {}

    async def open(self, opening: bytes, workers: Collection[str]) -> dict[str, Welcome]:
        return {worker: Welcome(station="s", slots=1) for worker in workers}

    async def round_trip(self, _: object) -> float:
        return ROUND_TRIP

    async def close(self) -> None:
        """Nothing to end."""


class Emptiness(LateLink):
    """A scheduler no worker comes to."""

    async def workers(self) -> dict[str, int]:
        return {}


async def late(*_: object) -> LateLink:
    return LateLink()


def node(connect: Callable[..., Any], post: Post, patience: Patience | None = None) -> Dispatch:
    origin = ProcessorOrigin(OriginKind.MODULE, "m")
    assignment = Assignment(batch_id="b", key_prefix="b", processor="p", origin=origin)
    return Dispatch(
        node_id="n",
        slots=1,
        opening=Opening(Software.here(), "run", assignment, slots=1),
        items=InMemoryItems(b"[1]", named=False),
        connect=connect,
        post=post,
        clock=lambda: 0.0,
        patience=patience or Patience(),
    )


async def first_message(connect: Callable[..., Any], patience: Patience | None = None) -> NodeMessage:
    """The first message of a node, which ends then."""
    messages: asyncio.Queue[NodeMessage] = asyncio.Queue()
    life = asyncio.create_task(node(connect, messages.put_nowait, patience).run())
    message = await asyncio.wait_for(messages.get(), 30)
    life.cancel()
    await asyncio.gather(life, return_exceptions=True)
    return message


async def first_holder() -> HolderJoined:
    """The first holder a node announces."""
    message = await first_message(late)
    assert isinstance(message, HolderJoined)
    return message


def test_the_way_to_workers_that_come_late_is_measured_too() -> None:
    """Without it slices would be as short as on this machine: one item each, and a round trip for each."""
    assert asyncio.run(first_holder()).round_trip == ROUND_TRIP


def test_a_cluster_that_cannot_be_started_is_asked_for_once() -> None:
    """A mistake in its options stays one; trying for as long as it may take to start only hides it."""
    asked = 0

    async def connect(*_: object) -> LateLink:
        nonlocal asked
        asked += 1
        raise NoCluster("the local cluster 'night' cannot be started: foo")

    message = asyncio.run(first_message(connect, Patience()))
    assert isinstance(message, NodeFailed) and message.reason.endswith("cannot be started: foo")
    assert asked == 1


def test_the_first_worker_may_take_its_own_time() -> None:
    """Less than a lost one, or more: what the operator says of the cluster."""
    patience = Patience()
    patience.start = 0.01

    async def connect(*_: object) -> Emptiness:
        return Emptiness()

    message = asyncio.run(first_message(connect, patience))
    assert isinstance(message, NodeFailed) and "has been there for 0.01 s" in message.reason


def test_a_node_that_is_closed_waits_for_no_cluster() -> None:
    """One may take minutes to start; the start is given up."""

    async def live() -> bool:
        begun, was_cancelled = asyncio.Event(), False

        async def connect(*_: object) -> LateLink:
            nonlocal was_cancelled
            begun.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                was_cancelled = True
                raise
            return LateLink()

        dispatch = node(connect, lambda _: None)
        life = asyncio.create_task(dispatch.run())
        await asyncio.wait_for(begun.wait(), 30)
        dispatch.close()
        # `wait_for` would cancel it itself
        ended, _ = await asyncio.wait([life], timeout=30)
        return was_cancelled and life in ended

    assert asyncio.run(live())


def test_a_node_that_breaks_while_it_connects_ends_when_it_is_closed() -> None:
    """However long the connection would have taken: nobody has use for it any more."""

    async def connect_for_ever(*_: object) -> LateLink:
        await asyncio.Event().wait()
        raise AssertionError

    async def fault() -> None:
        raise ZeroDivisionError

    async def close_after_a_fault() -> None:
        messages: asyncio.Queue[NodeMessage] = asyncio.Queue()
        broken = node(connect_for_ever, messages.put_nowait)
        life = asyncio.create_task(broken.run())
        await asyncio.sleep(0)
        broken.do(fault())
        assert isinstance(await asyncio.wait_for(messages.get(), 30), NodeFailed)
        broken.close()
        ended, _ = await asyncio.wait([life], timeout=30)
        assert life in ended

    asyncio.run(close_after_a_fault())
