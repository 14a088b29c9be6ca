"""Items that sleep and note when they did, on workers that are not started any more once a flag is there."""

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from everyitem import item_processor

#: Names the file that is the flag.
FLAG = "EVERYITEM_TEST_LOST_FLAG"


def ready() -> None:
    """What each new worker process does first."""
    if Path(os.environ[FLAG]).exists():
        raise OSError("this machine starts no worker any more")


def note(context: Any, began: int) -> None:
    """Process, begin and end of a call."""
    ledger = os.open(context.parameters["ledger"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(ledger, b"%d %d %d\n" % (os.getpid(), began, time.monotonic_ns()))
    os.close(ledger)


def must_wait(parameters: Any) -> bool:
    """Whether this call is one of the last, and nobody has said yet that they may end."""
    ledger = Path(parameters["ledger"])
    ended = ledger.read_bytes().count(b"\n") if ledger.exists() else 0
    return ended >= parameters["most"] and not Path(parameters["go"]).exists()


def wait(parameters: Any) -> None:
    """Until it may end."""
    while must_wait(parameters):
        time.sleep(0.002)


@item_processor("lost-sleeper", setup=ready)
def sleep(item: Any, context: Any) -> Any:
    """Sleep."""
    began = time.monotonic_ns()
    wait(context.parameters)
    time.sleep(context.parameters["seconds"])
    note(context, began)
    return item


@item_processor("lost-sleeper-async")
async def sleep_async(item: Any, context: Any) -> Any:
    """The same in an event loop."""
    began = time.monotonic_ns()
    if must_wait(context.parameters):
        await asyncio.to_thread(wait, context.parameters)
    await asyncio.sleep(context.parameters["seconds"])
    note(context, began)
    return item
