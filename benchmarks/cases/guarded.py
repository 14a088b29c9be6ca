"""What the safeguards cost that can be left out: the same run with them and without.

They are the started-items file, the memory guard of a node and of the execution, and the process that
guards the workers. What holds the record together (chain, tokens, synced commits) is the record itself:
*durable* measures it. Processor time of the process, its threads and its children: a few percent would
drown in what the disk takes.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from benchmarks.measure import Figure, Options, interleaved
from benchmarks.ours import document, run_batch
from benchmarks.processors import loops_per_millisecond
from everyitem.adapters.nodes.guard import Guard
from everyitem.adapters.started import StartedFile

#: The goal is three percent: fewer pairs could not tell.
_PAIRS = 15
#: Megabytes no run here comes near: the guard looks, and has nothing to do.
_ENOUGH = 4096


def measure(options: Options) -> Iterator[Figure]:
    """Processor time with all safeguards as a multiple of that without."""
    no_ops = [
        {"id": number, "amount": f"{number % 997}.25"} for number in range(options.items(100_000, 10_000))
    ]
    yield _figure(
        f"{len(no_ops):,} no-ops, recorded, with all safeguards over none, processor time",
        lambda: document(no_ops, "bench-no-op", kind="thread", slots=5),
        options,
    )
    work = [{"loops": loops_per_millisecond()}] * options.items(6_000, 1_000)
    yield _figure(
        f"{len(work):,} items of 1 ms pure Python on two processes, the same",
        lambda: document(work, "bench-work", kind="process", slots=2),
        options,
    )


def _figure(what: str, batch: Callable[[], dict[str, Any]], options: Options) -> Figure:
    store = options.directory / "guarded.sqlite"

    def guarded() -> float:
        full = batch()
        full["processingConfiguration"]["maxMemoryMb"] = 2 * _ENOUGH
        full["allocatedResources"]["nodes"][0]["memoryMb"] = _ENOUGH
        before = _processor_seconds()
        run_batch(full, store)
        return _processor_seconds() - before

    def bare() -> float:
        with _without_safeguards():
            before = _processor_seconds()
            run_batch(batch(), store)
            return _processor_seconds() - before

    pairs = interleaved(guarded, bare, pairs=options.pairs if options.quick else _PAIRS)
    return Figure(
        case="guarded",
        what=what,
        unit="×",
        values=[ours / without for ours, without in pairs],
        at_most=None if options.quick else 1.03,
    )


def _processor_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


@contextmanager
def _without_safeguards() -> Iterator[None]:
    with (
        mock.patch.object(StartedFile, "section", return_value=None),
        mock.patch.object(Guard, "watch"),
        mock.patch.object(Guard, "release"),
    ):
        yield
