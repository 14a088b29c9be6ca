"""The item processors that are measured.

Those that are timed from inside return when they began, in nanoseconds of the wall clock, so that the time
from the first item to the last recorded outcome can be read from what was recorded.
"""

import asyncio
import os
import time
from functools import cache
from pathlib import Path
from typing import Any

from everyitem import Deferred, item_processor

#: Directory and number of workers, as `DIRECTORY:N`; set by the benchmark, inherited by worker processes.
RENDEZVOUS = "EVERYITEM_BENCHMARK_RENDEZVOUS"


def meet_the_others(*_given: Any) -> None:
    """Wait until all worker processes are up, so that starting them is not part of the figure."""
    directory, _colon, workers = os.environ.get(RENDEZVOUS, "").rpartition(":")
    if not directory:
        return
    (Path(directory) / str(os.getpid())).touch()
    while sum(1 for _ in Path(directory).iterdir()) < int(workers):
        time.sleep(0.001)


@item_processor("bench-no-op")
def no_op(item: Any, context: Any) -> Any:
    """Nothing at all."""
    return {"ok": True}


@item_processor("bench-deferring")
def deferring(item: Any, context: Any) -> Any:
    """Handed on to somebody whose answer does not come."""
    return Deferred(timeout=3600)


@item_processor("bench-witnessed")
def witnessed(item: Any, context: Any) -> Any:
    """Wait for `item["seconds"]`, after a byte into the file `witness` says that it was called."""
    os.write(_witness(context.parameters["witness"]), b".")
    time.sleep(item["seconds"])
    return {"ok": True}


@cache
def _witness(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)


@item_processor("bench-flaky")
def flaky(item: Any, context: Any) -> Any:
    """Nothing, after 5 % of the items have failed once."""
    if item["id"] % 20 == 0 and context.attempt == 1:
        raise ConnectionError("not yet")
    return {"ok": True}


@item_processor("bench-work", setup=meet_the_others)
def work(item: Any, context: Any) -> Any:
    """`item["loops"]` turns of pure Python."""
    began = time.time_ns()
    turn_round(item["loops"])
    return began


@item_processor("bench-sleep", setup=meet_the_others)
def sleep(item: Any, context: Any) -> Any:
    """Wait for `item["seconds"]`."""
    began = time.time_ns()
    time.sleep(item["seconds"])
    return began


@item_processor("bench-sleep-async")
async def sleep_async(item: Any, context: Any) -> Any:
    """The same in an event loop."""
    began = time.time_ns()
    await asyncio.sleep(item["seconds"])
    return began


def turn_round(loops: int) -> int:
    """Pure Python that holds the interpreter."""
    total = 0
    for number in range(loops):
        total += number & 7
    return total


def loops_per_millisecond() -> int:
    """How many turns make one millisecond on this machine: the fastest of many tries."""
    loops = 20_000
    fastest = min(_timed(loops) for _ in range(50))
    return max(1, int(loops / (fastest * 1000)))


def _timed(loops: int) -> float:
    began = time.perf_counter()
    turn_round(loops)
    return time.perf_counter() - began
