"""Whose fault it is that a worker process is gone, and what the item is charged with.

Only the item that was begun and not finished can have killed its worker. A chunk is several such items:
they run again alone, and only the one that kills its worker then is charged.
"""

import time

import msgspec

from everyitem.adapters.nodes.worker_process import Verdict, WorkerProcess
from everyitem.model.errors import ErrorCode
from everyitem.model.outcome import Failure
from everyitem.ports.node import Lease
from everyitem.work.failures import timeout_failure


class Loss(msgspec.Struct, frozen=True):
    """What a worker's end costs: at most one charged failure, or some items to run again alone."""

    failures: tuple[Failure, ...] = ()
    isolate: tuple[int, ...] = ()


def assess(worker: WorkerProcess, lease: Lease, item_timeout: float | None) -> Loss:
    """Say what the dead worker's lease lost; the ring was taken before."""
    flight = worker.in_flight
    if not flight or worker.verdict in (Verdict.INTERRUPTED, Verdict.CLOSED):
        return Loss()
    if worker.verdict is Verdict.ITEM_TIMEOUT and flight.start != worker.timed_out_at:
        return Loss()  # the late item was finished after all, and this one had no time yet
    if len(flight) > 1:
        return Loss(isolate=tuple(lease.indices[position] for position in flight))
    index = lease.indices[flight.start]
    duration_us = max(0, round((time.monotonic() - worker.since) * 1e6))
    if worker.verdict is Verdict.ITEM_TIMEOUT:
        failure = timeout_failure(
            index, attempt=lease.attempt, duration_us=duration_us, timeout=item_timeout or 0.0
        )
    else:
        failure = Failure(
            index,
            lease.attempt,
            ErrorCode.SYSTEM_ERROR,
            "WorkerDied",
            _death_message(worker),
            duration_us,
            alone=True,
        )
    return Loss(failures=(failure,))


def _death_message(worker: WorkerProcess) -> str:
    hint = " (perhaps by the kernel for lack of memory)" if worker.exit_text.endswith("SIGKILL") else ""
    return worker.log.quoted(f"the worker process ended with {worker.exit_text}{hint} while it ran this item")
