"""The comparators: what one would write by hand, without any guarantee. All return seconds."""

import asyncio
import itertools
import multiprocessing
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.processors import turn_round

#: Results per blob, as many as everyitem records per checkpoint.
INTERVAL = 1000

Item = dict[str, Any]


def open_database(path: Path) -> sqlite3.Connection:
    """SQLite with the same promise as the store: on disk when the commit returns."""
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE IF NOT EXISTS blobs (run INTEGER, number INTEGER, body BLOB)")
    return database


def durable_loop(items: Sequence[Item], process: Callable[[Item], Any], path: Path) -> float:
    """A `for` loop that stores one MessagePack blob per 1,000 outcomes, each with its own commit.

    An outcome is which item, how it ended, after how many attempts, how long it took, and what it returned:
    what everyitem keeps of one. The goals were set by a loop that did 1.2 million items a second.
    """
    with closing(open_database(path)) as database:
        began = time.perf_counter()
        outcomes: list[Any] = []
        before = time.monotonic_ns()
        for number, item in enumerate(items, start=1):
            result = process(item)
            now = time.monotonic_ns()
            outcomes.append((item["id"], "SUCCEEDED", 1, now - before, result))
            before = now
            if number % INTERVAL == 0:
                _store(database, outcomes)
                outcomes = []
        _store(database, outcomes)
        return time.perf_counter() - began


def durable_loop_of_results(items: Sequence[Item], process: Callable[[Item], Any], path: Path) -> float:
    """The same with nothing but the results, in the order of the items: nobody can say which one failed."""
    with closing(open_database(path)) as database:
        began = time.perf_counter()
        results: list[Any] = []
        for number, item in enumerate(items, start=1):
            results.append(process(item))
            if number % INTERVAL == 0:
                _store(database, results)
                results = []
        _store(database, results)
        return time.perf_counter() - began


def durable_loop_with_retry(items: Sequence[Item], process: Callable[[Item, int], Any], path: Path) -> float:
    """As `durable_loop`, with try and up to three retries; `process` gets the attempt number."""
    with closing(open_database(path)) as database:
        began = time.perf_counter()
        outcomes: list[Any] = []
        before = time.monotonic_ns()
        for number, item in enumerate(items, start=1):
            for attempt in range(1, 5):
                try:
                    result = process(item, attempt)
                except Exception as error:
                    if attempt == 4:
                        now = time.monotonic_ns()
                        outcomes.append((item["id"], "FAILED", attempt, now - before, repr(error)))
                        before = now
                else:
                    now = time.monotonic_ns()
                    outcomes.append((item["id"], "SUCCEEDED", attempt, now - before, result))
                    before = now
                    break
            if number % INTERVAL == 0:
                _store(database, outcomes)
                outcomes = []
        _store(database, outcomes)
        return time.perf_counter() - began


def retrying_loop_of_results(items: Sequence[Item], process: Callable[[Item, int], Any], path: Path) -> float:
    """As `durable_loop_of_results`, with try and retry; a result comes with its number of attempts."""
    with closing(open_database(path)) as database:
        began = time.perf_counter()
        results: list[Any] = []
        for number, item in enumerate(items, start=1):
            for attempt in range(1, 5):
                try:
                    results.append((process(item, attempt), attempt))
                    break
                except Exception as error:
                    if attempt == 4:
                        results.append((repr(error), attempt))
            if number % INTERVAL == 0:
                _store(database, results)
                results = []
        _store(database, results)
        return time.perf_counter() - began


def _store(database: sqlite3.Connection, results: list[Any]) -> None:
    if results:
        database.execute("INSERT INTO blobs (body) VALUES (?)", (msgspec.msgpack.encode(results),))


def split_over_processes(items: Sequence[Item], *, processes: int) -> float:
    """Each process works through its share of the list; from all of them being up to the last one done.

    The processes are started afresh, as ours are: how fast a loop runs depends by a twentieth and more on
    where in memory the interpreter happens to lie, and forked children all lie where their parent does.
    """
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(processes + 1)
    workers = [
        context.Process(target=_work_through, args=(items[number::processes], barrier))
        for number in range(processes)
    ]
    for worker in workers:
        worker.start()
    barrier.wait()
    began = time.perf_counter()
    # nor is ending them a part of it
    barrier.wait()
    took = time.perf_counter() - began
    for worker in workers:
        worker.join()
    return took


def _work_through(items: Sequence[Item], barrier: Barrier) -> None:
    barrier.wait()
    results = []
    for item in items:
        began = time.time_ns()
        turn_round(item["loops"])
        results.append(began)
    barrier.wait()


def shared_counter_over_threads(items: Sequence[Item], *, threads: int) -> float:
    """Threads that take the next item from one counter and sleep: nothing balances better."""
    following = itertools.count()
    barrier = threading.Barrier(threads + 1)

    def take_items() -> None:
        barrier.wait()
        results = []
        while (number := next(following)) < len(items):
            began = time.time_ns()
            time.sleep(items[number]["seconds"])
            results.append(began)

    workers = [threading.Thread(target=take_items) for _ in range(threads)]
    for worker in workers:
        worker.start()
    barrier.wait()
    began = time.perf_counter()
    for worker in workers:
        worker.join()
    return time.perf_counter() - began


def tasks_in_one_loop(items: Sequence[Item], *, tasks: int) -> float:
    """Asyncio tasks that work through their share of the list."""

    async def work_through(share: Sequence[Item]) -> None:
        results = []
        for item in share:
            began = time.time_ns()
            await asyncio.sleep(item["seconds"])
            results.append(began)

    async def all_of_them() -> float:
        began = time.perf_counter()
        await asyncio.gather(*(work_through(items[number::tasks]) for number in range(tasks)))
        return time.perf_counter() - began

    return asyncio.run(all_of_them())
