"""What the machine has to give, and what a batch needs of it."""

import math
from collections.abc import Mapping
from typing import Final

from everyitem.engine.allocation import Capacity, Running, Waiting
from everyitem.model.batch import ProcessingBatch
from everyitem.model.resources import NodeKind
from everyitem.model.status import ExecutionStatus
from everyitem.ports.queue import Demand, ServiceRecord, Ticket
from everyitem.settings import Settings
from everyitem.settings.machine import granted_cores, granted_memory

_MB: Final = 1 << 20

#: Memory of a coordinator with an empty batch and of one worker process, in MB; its items take about three
#: times their text.
_COORDINATOR_MB: Final = 120
_WORKER_MB: Final = 40
_TIMES_TEXT: Final = 3

#: Thousandths of a core a node is counted as: each slot of a process node may compute all the time; threads
#: and coroutines are for items that wait, and share one interpreter however many they are; what runs on
#: other machines takes nothing here.
_PER_SLOT: Final[Mapping[NodeKind, int]] = {NodeKind.PROCESS: 1000}
_PER_NODE: Final[Mapping[NodeKind, int]] = {NodeKind.THREAD: 500, NodeKind.ASYNC: 500}


def capacity(settings: Settings) -> Capacity:
    """What a service on this machine shares out."""
    cores = settings.service_cores or granted_cores()
    memory = settings.service_memory_mb or granted_memory() // _MB or settings.max_memory_mb
    return Capacity(
        millicores=max(1, round(cores * 1000)), memory_mb=memory, batches=settings.max_running_batches
    )


def demand_of(batch: ProcessingBatch, *, input_bytes: int) -> Demand:
    """What a batch needs, by its nodes and the length of its items' text."""
    resources = batch.resources
    cores = sum(
        node.slots * _PER_SLOT.get(node.kind, 0) + _PER_NODE.get(node.kind, 0) for node in resources.nodes
    )
    workers = sum(node.slots for node in resources.nodes if node.kind is NodeKind.PROCESS)
    asked = sum(node.memory_mb or 0 for node in resources.nodes)
    least = min(resources.min_parallelism, resources.slots)
    estimate = _COORDINATOR_MB + _TIMES_TEXT * input_bytes // _MB
    # more workers than it may be given at least are started only where there is room for them
    needed = estimate + max(asked, _WORKER_MB * min(workers, least))
    return Demand(
        least=least,
        most=resources.slots,
        millicores=max(1, math.ceil(cores / resources.slots)),
        memory_mb=min(needed, max(batch.configuration.max_memory_mb, asked)),
    )


def running(ticket: Ticket, *, slots: int, memory_mb: int) -> Running:
    """A batch that has a part of the machine, to whoever shares it out."""
    return Running(
        key=ticket.execution_key,
        number=ticket.number,
        priority=ticket.priority,
        since=ticket.since,
        demand=ticket.demand,
        parallelism=ticket.parallelism,
        slots=slots,
        memory_mb=memory_mb,
        paused=ticket.owned and ticket.status is ExecutionStatus.PAUSED,
    )


def waiting(ticket: Ticket) -> Waiting:
    """A batch that wants a part of the machine, to whoever shares it out."""
    return Waiting(
        key=ticket.execution_key,
        number=ticket.number,
        priority=ticket.priority,
        since=ticket.since,
        demand=ticket.demand,
        parallelism=ticket.parallelism,
    )


def capacity_of(service: ServiceRecord) -> Capacity:
    """What a living service, here or elsewhere, shares out."""
    return Capacity(millicores=service.millicores, memory_mb=service.memory_mb, batches=service.batches)
