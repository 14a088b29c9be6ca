"""Whose fault it is that a worker process is gone, and what the item is charged with.

Only the item that was begun and not finished can have killed its worker. A chunk is several such items:
they run again alone, and only the one that kills its worker then is charged.
"""

import time
from typing import Final

import msgspec

from everyitem.adapters.nodes.memory_budget import MB
from everyitem.adapters.nodes.worker_memory import WorkerMemory
from everyitem.adapters.nodes.worker_process import Verdict, WorkerProcess
from everyitem.model.errors import ErrorCode
from everyitem.model.outcome import Failure
from everyitem.ports.node import Lease
from everyitem.work.failures import timeout_failure


class Loss(msgspec.Struct, frozen=True):
    """What a worker's end costs: at most one charged failure, or some items to run again alone."""

    failures: tuple[Failure, ...] = ()
    isolate: tuple[int, ...] = ()
    #: Every item begun and not finished, charged or not.
    begun: tuple[int, ...] = ()


#: What is said of a worker that was killed.
_REASONS: Final = {
    Verdict.ITEM_TIMEOUT: "an item ran longer than itemTimeoutMs; its worker process was killed",
    Verdict.OUT_OF_MEMORY: "an item took too much memory; its worker process was killed",
    Verdict.STALLED: "the worker process did nothing with what it was given; it was killed",
    Verdict.RECYCLED: "the worker process had grown and is replaced by a fresh one",
    Verdict.INTERRUPTED: "the worker process was interrupted",
}
#: Verdicts on one item, not on the worker.
_ON_AN_ITEM: Final = (Verdict.ITEM_TIMEOUT, Verdict.OUT_OF_MEMORY)


def assess(worker: WorkerProcess, lease: Lease, *, item_timeout: float | None, memory: WorkerMemory) -> Loss:
    """Say what the dead worker's lease lost; the ring was taken before."""
    flight = worker.in_flight
    begun = tuple(lease.indices[position] for position in flight)
    if not flight or worker.verdict in (Verdict.INTERRUPTED, Verdict.CLOSED):
        return Loss(begun=begun)
    if worker.verdict in _ON_AN_ITEM and flight.start != worker.condemned_at:
        # the condemned item was finished after all, and this one has only just begun
        return Loss(begun=begun)
    if len(flight) > 1:
        return Loss(isolate=begun, begun=begun)
    index = lease.indices[flight.start]
    duration_us = max(0, round((time.monotonic() - worker.since) * 1e6))
    if worker.verdict is Verdict.ITEM_TIMEOUT:
        failure = timeout_failure(
            index, attempt=lease.attempt, duration_us=duration_us, timeout=item_timeout or 0.0
        )
    else:
        code, kind, message = _cause_of_death(worker, memory)
        failure = Failure(index, lease.attempt, code, kind, message, duration_us, alone=True)
    return Loss(failures=(failure,), begun=begun)


def _cause_of_death(worker: WorkerProcess, memory: WorkerMemory) -> tuple[ErrorCode, str, str]:
    """Code, type and message of a death that is charged to an item."""
    if worker.verdict is Verdict.OUT_OF_MEMORY:
        text = (
            f"the item took too much memory and was ended: its worker process took "
            f"{worker.memory.peak // MB:,} MB at its peak; {memory.limits_text()}"
        )
        return ErrorCode.RESOURCE_ERROR, "MemoryExceeded", text
    if worker.gave_up:
        return ErrorCode.SYSTEM_ERROR, "WorkerDied", worker.log.quoted(f"{worker.gave_up}; it ran this item")
    if by_kernel := memory.kernel_killed(worker):
        text = f"the worker process was {by_kernel}; it ran this item"
        return ErrorCode.RESOURCE_ERROR, "WorkerDied", worker.log.quoted(text)
    text = f"the worker process ended with {worker.exit_text} while it ran this item"
    return ErrorCode.SYSTEM_ERROR, "WorkerDied", worker.log.quoted(text)


def end_text(worker: WorkerProcess) -> str:
    """Why a dead worker is no more, whatever it costs whom."""
    how = f"the worker process ended with {worker.exit_text}"
    return how if worker.verdict is None else worker.gave_up or _REASONS.get(worker.verdict, how)


def start_problem(worker: WorkerProcess) -> str:
    """Why a dead worker never became ready, with what it has written last."""
    text = worker.gave_up or f"a worker process ended with {worker.exit_text} before it was ready"
    return worker.log.quoted(text)
