"""A link whose scheduler goes away, or does not come, at the wrong moment: that is no fault of the node."""

import asyncio
import contextlib
import gc
import warnings
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import pytest
from distributed.core import ConnectionPool

from everyitem.adapters.nodes.dask.frames import Ask
from everyitem.adapters.nodes.dask.link import Link, LinkLost


async def closing() -> Link:
    """A link whose calls meet a pool of connections that was closed."""
    pool = ConnectionPool()
    await pool.start()
    await pool.close()
    # refused before anybody is called
    scheduler = pool("tcp://127.0.0.1:9")

    async def run(*_: object, **__: object) -> None:
        await scheduler.broadcast(msg={})

    client = SimpleNamespace(
        scheduler=scheduler, nthreads=scheduler.ncores, run=run, subscribe_topic=lambda *_: None
    )
    return Link(client, on_begun=lambda *_: None, on_gone=lambda _: None)


@pytest.mark.parametrize("call", [Link.workers, lambda link: link.open(b"", ["tcp://127.0.0.1:9"])])
def test_it_is_lost_like_any_other(call: Callable[[Link], Coroutine[Any, Any, object]]) -> None:
    """So the node looks for its cluster again, and does not break."""

    async def live() -> None:
        await call(await closing())

    with pytest.raises(LinkLost, match="ConnectionPool is closed"):
        asyncio.run(live())


def test_a_station_that_cannot_be_asked_any_more_does_not_answer() -> None:
    """Whoever ends a node asks all of them to close, and ends also where one is gone."""

    async def live() -> object:
        return await (await closing()).ask("tcp://127.0.0.1:9", Ask("run", close=True))

    assert asyncio.run(live()) is None


@pytest.mark.filterwarnings("always")
def test_a_connection_nobody_waits_for_any_more_is_closed() -> None:
    """Left to the garbage collector the client would begin to close itself, and nobody would see to it."""

    async def live() -> None:
        called = asyncio.Event()

        async def say_nothing(*_: object) -> None:
            called.set()

        async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as silent:
            port = silent.sockets[0].getsockname()[1]
            link = Link.connect(f"tcp://127.0.0.1:{port}", on_begun=lambda *_: None, on_gone=lambda _: None)
            connecting = asyncio.ensure_future(link)
            await called.wait()
            connecting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await connecting

    with warnings.catch_warnings(record=True) as said:
        asyncio.run(live())
        gc.collect()
    assert [str(one.message) for one in said if "never awaited" in str(one.message)] == []
