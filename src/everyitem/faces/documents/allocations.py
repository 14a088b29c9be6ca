"""What an event allocates to a batch (`ResourcesAllocated`), in the words of `allocatedResources`."""

from typing import Annotated

from pydantic import Field, ValidationError

from everyitem.faces.documents.schema import AllocatedResourcesDocument, Count, Name, NodeDocument, Part
from everyitem.model.allocation import AllocatedNode, Allocation
from everyitem.model.resources import NodeKind, address_problem

_WHERE = "$.data.allocatedResources"


class AllocationDocument(Part):
    """The data of the event."""

    batch_id: Name
    version: Annotated[Count, Field(description="Higher than that of any event before.")]
    allocated_resources: AllocatedResourcesDocument
    #: Ours beside the contract's, as for events about items.
    execution: Count | None = None


class AllocationRefused(ValueError):
    """It allocates nothing that could be used; the message says where and why."""


def read_allocation(data: bytes) -> tuple[str, int | None, Allocation]:
    """The batch's id, the execution if one is named, and what is allocated. Raises `AllocationRefused`."""
    try:
        said = AllocationDocument.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
        raise AllocationRefused(f"$.data{path}: {first['msg']}") from None
    wishes = said.allocated_resources
    allocation = Allocation(version=said.version, nodes=_nodes(wishes), least=wishes.min_parallelism)
    _check(allocation)
    return said.batch_id, said.execution, allocation


def _nodes(wishes: AllocatedResourcesDocument) -> tuple[AllocatedNode, ...]:
    """As in a batch document: nodes, else a number of process nodes, else one node of so many slots."""
    if wishes.nodes:
        return tuple(_node(node, position) for position, node in enumerate(wishes.nodes, start=1))
    if wishes.allocated_nodes is not None:
        return tuple(
            AllocatedNode(node_id=f"node-{number}", kind=NodeKind.PROCESS, slots=1)
            for number in range(1, wishes.allocated_nodes + 1)
        )
    if wishes.max_parallelism is not None:
        return (AllocatedNode(node_id="local", slots=wishes.max_parallelism),)
    raise AllocationRefused(
        f"{_WHERE}: nothing runs on nothing; name nodes, allocatedNodes or maxParallelism"
    )


def _node(node: NodeDocument, position: int) -> AllocatedNode:
    return AllocatedNode(
        node_id=node.node_id or f"node-{position}",
        kind=node.kind,
        slots=node.slots or 1,
        memory_mb=node.memory_mb,
        address=node.address,
    )


def _check(allocation: Allocation) -> None:
    seen: set[str] = set()
    for position, node in enumerate(allocation.nodes):
        where = f"{_WHERE}.nodes[{position}]"
        if node.node_id in seen:
            raise AllocationRefused(f"{where}.nodeId: {node.node_id!r} is the id of an earlier node")
        seen.add(node.node_id)
        if node.kind is NodeKind.DASK and (problem := address_problem(node.address)):
            raise AllocationRefused(f"{where}.address: {problem}")
