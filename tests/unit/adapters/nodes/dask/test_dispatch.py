"""A Dask node's decisions with a scheduler that is none: what the node says to the engine, and when."""

import asyncio
from collections.abc import Collection

from everyitem.adapters.nodes.dask.dispatch import Dispatch, Patience
from everyitem.adapters.nodes.dask.frames import Opening, Software, Welcome
from everyitem.model.items import InMemoryItems
from everyitem.ports.node import HolderJoined, NodeMessage
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


async def first_holder() -> HolderJoined:
    """The first holder a node announces."""
    messages: asyncio.Queue[NodeMessage] = asyncio.Queue()
    origin = ProcessorOrigin(OriginKind.MODULE, "m")
    assignment = Assignment(batch_id="b", key_prefix="b", processor="p", origin=origin)

    async def connect(*_: object) -> LateLink:
        return LateLink()

    dispatch = Dispatch(
        node_id="n",
        slots=1,
        opening=Opening(Software.here(), "run", assignment, slots=1),
        items=InMemoryItems(b"[1]", named=False),
        connect=connect,  # type: ignore[arg-type]
        post=messages.put_nowait,
        clock=lambda: 0.0,
        patience=Patience(),
    )
    life = asyncio.create_task(dispatch.run())
    message = await asyncio.wait_for(messages.get(), 30)
    life.cancel()
    await asyncio.gather(life, return_exceptions=True)
    assert isinstance(message, HolderJoined)
    return message


def test_the_way_to_workers_that_come_late_is_measured_too() -> None:
    """Without it slices would be as short as on this machine: one item each, and a round trip for each."""
    assert asyncio.run(first_holder()).round_trip == ROUND_TRIP
