"""From allocated resources to the nodes of a batch, and what their workers must know."""

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from everyitem.engine.execution import BuildNodes
from everyitem.model.batch import ProcessingBatch
from everyitem.model.clusters import cluster_name, cluster_problem
from everyitem.model.configuration import ProcessingConfiguration
from everyitem.model.errors import UsageError
from everyitem.model.resources import AllocatedResources, NodeKind, NodeSpec
from everyitem.ports.execution import ExecutionRecord
from everyitem.ports.node import Node
from everyitem.work.assignment import Assignment
from everyitem.work.processors import ItemProcessor, refuse_local
from everyitem.work.texts import is_storable

if TYPE_CHECKING:
    from everyitem.adapters.nodes.async_node import AsyncNode
    from everyitem.adapters.nodes.memory_budget import MemoryBudget
    from everyitem.adapters.nodes.thread_node import ThreadNode
    from everyitem.adapters.started import StartedFile


def refuse_unfit(batch: ProcessingBatch, processor: ItemProcessor) -> None:
    """Raises `UsageError` where the item processor cannot run on the nodes of the batch."""
    kinds = {node.kind for node in batch.resources.nodes}
    if not kinds.isdisjoint((NodeKind.PROCESS, NodeKind.DASK)):
        refuse_local(processor.name, processor.origin)
    if NodeKind.DASK in kinds:
        _require_dask(batch.resources)


def _require_dask(resources: AllocatedResources) -> None:
    from importlib.util import find_spec

    if find_spec("distributed") is None:
        raise UsageError('nodes of kind dask need the extra dask: pip install "everyitem[dask]"')
    for node in resources.nodes:
        spec = resources.clusters.get(cluster_name(node.address) or "")
        if spec is not None:
            from everyitem.adapters.nodes.dask.own_cluster import missing_package

            if remedy := missing_package(spec):
                raise UsageError(f"node {node.node_id!r}: a {spec.kind} cluster needs more: {remedy}")


def node_builder(processor: ItemProcessor, started: "StartedFile", traceparent: str) -> BuildNodes:
    """Makes the nodes of one run, those that are allocated while it goes on included."""
    budgets: list[MemoryBudget] = []

    def build(batch: ProcessingBatch, record: ExecutionRecord, slots: dict[str, int]) -> Sequence[Node]:
        from everyitem.adapters.nodes.memory_budget import MemoryBudget

        refuse_unfit(batch, processor)
        assignment = _assign(batch, record, processor, traceparent)
        # one for all nodes, those that are allocated later included
        budget = budgets[0] if budgets else MemoryBudget(batch.configuration.max_memory_mb)
        budgets[:] = [budget]
        return [
            _build_node(spec, slots[spec.node_id], assignment, processor, batch, budget, started)
            for spec in batch.resources.nodes
        ]

    return build


def _build_node(
    spec: NodeSpec,
    slots: int,
    assignment: Assignment,
    processor: ItemProcessor,
    batch: ProcessingBatch,
    budget: "MemoryBudget",
    started: "StartedFile",
) -> Node:
    items = batch.items
    match spec.kind:
        case NodeKind.THREAD | NodeKind.ASYNC:
            from everyitem.adapters.nodes.slot_node import WORKERS_PER_SLOT

            return _slot_node(spec.kind)(
                spec,
                slots=slots,
                assignment=assignment,
                processor=processor,
                items=items,
                budget=budget,
                started=started.section(WORKERS_PER_SLOT * spec.slots),
            )
        case NodeKind.PROCESS:
            from everyitem.adapters.nodes.process_node import ProcessNode

            return ProcessNode(spec, slots=slots, assignment=assignment, items=items, budget=budget)
        case NodeKind.DASK:
            return _dask_node(spec, slots, assignment, processor, batch)


def _dask_node(
    spec: NodeSpec, slots: int, assignment: Assignment, processor: ItemProcessor, batch: ProcessingBatch
) -> Node:
    from everyitem.adapters.nodes.dask.node import DaskNode
    from everyitem.adapters.nodes.dask.own_cluster import OwnCluster
    from everyitem.adapters.nodes.dask.patience import Patience

    own, patience = None, Patience()
    clusters = batch.resources.clusters
    if problem := cluster_problem(spec.address, clusters):
        raise UsageError(f"node {spec.node_id!r}: {problem}")
    if name := cluster_name(spec.address):
        own = OwnCluster(name, clusters[name])
        patience.start = clusters[name].start_seconds
    return DaskNode(
        spec,
        slots=slots,
        assignment=assignment,
        processor=processor,
        items=batch.items,
        own=own,
        patience=patience,
    )


def _slot_node(kind: NodeKind) -> "type[ThreadNode | AsyncNode]":
    if kind is NodeKind.THREAD:
        from everyitem.adapters.nodes.thread_node import ThreadNode

        return ThreadNode
    from everyitem.adapters.nodes.async_node import AsyncNode

    return AsyncNode


def _assign(
    batch: ProcessingBatch, record: ExecutionRecord, processor: ItemProcessor, traceparent: str
) -> Assignment:
    """What every worker of the batch must know."""
    configuration = batch.configuration
    number = f"@{record.execution}" if record.execution > 1 else ""
    return Assignment(
        batch_id=batch.batch_id,
        traceparent=traceparent,
        key_prefix=f"{batch.identity}{number}",
        processor=processor.name,
        origin=processor.origin,
        parameters=msgspec.json.encode(configuration.parameters),
        secrets_directory=configuration.secrets_directory,
        configuration=msgspec.json.encode(_shown_configuration(configuration)),
        resources=msgspec.json.encode(_shown_resources(batch)),
        error_policy=msgspec.json.encode(_shown_error_policy(configuration)),
        item_timeout=configuration.item_timeout,
        start_timeout=configuration.worker_start,
        at_most_once=configuration.at_most_once,
        max_attempts=configuration.retry.max_retries + 1,
        named=batch.items.named,
        deadline=time.time() + configuration.timeout,
        sys_path=[path for path in sys.path if is_storable(path)],
    )


def _shown_configuration(configuration: ProcessingConfiguration) -> dict[str, Any]:
    """`context.configuration`: the document's names, the values in force."""
    return {
        "processor": configuration.processor,
        "parallelism": configuration.parallelism,
        "itemTimeoutMs": None if configuration.item_timeout is None else configuration.item_timeout * 1000,
        "checkpointInterval": configuration.checkpoint_interval,
        "checkpointIntervalSeconds": configuration.checkpoint_interval_seconds,
        "enableCheckpointing": configuration.enable_checkpointing,
        "timeoutHours": configuration.timeout / 3600,
        "delivery": "at-most-once" if configuration.at_most_once else "at-least-once",
    }


def _shown_resources(batch: ProcessingBatch) -> dict[str, Any]:
    return {
        "nodes": [
            {"nodeId": node.node_id, "kind": node.kind, "slots": node.slots, "memoryMb": node.memory_mb}
            for node in batch.resources.nodes
        ],
        "minParallelism": batch.resources.min_parallelism,
    }


def _shown_error_policy(configuration: ProcessingConfiguration) -> dict[str, Any]:
    retry = configuration.retry
    return {
        "errorHandlingStrategy": configuration.strategy,
        "maxRetryAttempts": retry.max_retries,
        "retry": {
            "initialDelayMs": retry.initial_delay * 1000,
            "multiplier": retry.multiplier,
            "maxDelayMs": retry.max_delay * 1000,
            "jitter": retry.jitter,
        },
        "toleratedFailureCount": configuration.tolerated_failure_count,
        "toleratedFailurePercentage": configuration.tolerated_failure_percentage,
    }
