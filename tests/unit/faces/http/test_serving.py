"""What the routes of one server share."""

import asyncio
import queue
import threading
from typing import Any

from starlette.concurrency import run_in_threadpool

from everyitem.faces.http.serving import Serving
from everyitem.settings import Settings


def test_who_reads_all_of_a_batch_takes_turns() -> None:
    """Two at a time, however many come: else nobody could ask where a batch stands until they are through."""
    nobody: Any = None
    serving = Serving(
        settings=Settings(),
        options=nobody,
        service=nobody,
        tokens=nobody,
        sessions=nobody,
        login=nobody,
    )
    inside: queue.SimpleQueue[None] = queue.SimpleQueue()
    gate = threading.Event()

    def look(_session: object) -> None:
        inside.put(None)
        gate.wait(60)

    async def all_of_them() -> None:
        looks = [asyncio.create_task(serving.long_look(look)) for _ in range(5)]
        for _ in range(2):
            await run_in_threadpool(inside.get, True, 60)
        # others who come later find a thread all the same
        for _ in range(20):
            await run_in_threadpool(int)
        assert inside.empty()
        gate.set()
        await asyncio.gather(*looks)

    asyncio.run(all_of_them())
    assert inside.qsize() == 3
