"""The nodes a batch gets and how parallel it starts."""

from collections.abc import Mapping
from dataclasses import replace

from everyitem.faces.documents.overrides import Overrides
from everyitem.faces.documents.precedence import Precedence
from everyitem.faces.documents.problems import Problems
from everyitem.faces.documents.schema import AllocatedResourcesDocument, BatchDocument
from everyitem.model.clusters import ClusterSpec, cluster_name, cluster_problem
from everyitem.model.errors import ErrorCode
from everyitem.model.resources import AllocatedResources, NodeKind, NodeSpec, address_problem
from everyitem.model.wording import many
from everyitem.settings import Origin, Setting
from everyitem.settings.machine import granted_memory

_DEFAULT_MAX_PARALLELISM = 10
_WHERE = "$.allocatedResources"


def settle_resources(
    wishes: AllocatedResourcesDocument,
    *,
    natural: str,
    overrides: Overrides,
    precedence: Precedence,
    clusters: Mapping[str, ClusterSpec],
    problems: Problems,
) -> AllocatedResources:
    """The nodes asked for; without any, one node `local` of the processor's `natural` kind.

    `clusters` are those of the configuration; a node that names one has as many slots as it has, unless the
    document says how many. `maxMemoryMb` must have been decided.
    """
    if wishes.nodes and wishes.allocated_nodes is not None:
        problems.warn(f"{_WHERE}.allocatedNodes", "nodes are given too and win over the number")
    nodes = _asked_for(wishes, NodeKind(natural), clusters, problems)
    origin = Origin.DOCUMENT if nodes else Origin.DEFAULT
    most = precedence.decide(
        "maxParallelism", document=wishes.max_parallelism, default=_DEFAULT_MAX_PARALLELISM
    )
    if not nodes:
        nodes = (NodeSpec(node_id="local", kind=NodeKind(natural), slots=most),)
    if overrides.nodes is not None:
        kind = NodeKind(overrides.nodes)
        if origin is Origin.DOCUMENT and any(node.kind is not kind for node in nodes):
            problems.warn(
                f"{_WHERE}.nodes", f"all nodes are of kind {kind} now, as the call asks (nodes={kind})"
            )
        nodes = tuple(replace(node, kind=kind) for node in nodes)
        origin = Origin.CLI
    _check_memory(nodes, precedence.in_force["maxMemoryMb"].value, problems)
    # with an override the kind alone is remembered: a recovery applies it to the document's nodes again
    shown = overrides.nodes or [f"{node.node_id}: {node.kind} x {node.slots}" for node in nodes]
    precedence.in_force["nodes"] = Setting(shown, origin)
    least = precedence.decide("minParallelism", document=wishes.min_parallelism, default=1)
    slots = sum(node.slots for node in nodes)
    if wishes.min_parallelism is not None and wishes.max_parallelism is not None and least > most:
        problems.add(
            f"{_WHERE}.minParallelism", f"must not be above maxParallelism; found {least} above {most}"
        )
    elif least > slots:
        problems.warn(
            f"{_WHERE}.minParallelism",
            f"{least} is more than the {many(slots, 'allocated slot')}; {slots} is used",
        )
    return AllocatedResources(nodes=nodes, min_parallelism=min(least, slots), clusters=clusters)


def _asked_for(
    wishes: AllocatedResourcesDocument,
    natural: NodeKind,
    clusters: Mapping[str, ClusterSpec],
    problems: Problems,
) -> tuple[NodeSpec, ...]:
    if not wishes.nodes:
        count = wishes.allocated_nodes or 0
        return tuple(
            NodeSpec(node_id=f"node-{k}", kind=NodeKind.PROCESS, slots=1) for k in range(1, count + 1)
        )
    nodes = tuple(
        NodeSpec(
            node_id=node.node_id or f"node-{position}",
            kind=node.kind or natural,
            slots=node.slots or _slots_of(node.kind, clusters.get(cluster_name(node.address) or "")),
            memory_mb=node.memory_mb,
            address=node.address,
        )
        for position, node in enumerate(wishes.nodes, start=1)
    )
    _check_addresses(nodes, clusters, problems)
    seen: dict[str, int] = {}
    for position, spec in enumerate(nodes):
        if (earlier := seen.setdefault(spec.node_id, position)) != position:
            problems.add(
                f"{_WHERE}.nodes[{position}].nodeId", f"{spec.node_id!r} is already the id of node {earlier}"
            )
    return nodes


def _slots_of(kind: NodeKind | None, cluster: ClusterSpec | None) -> int:
    return cluster.slots if kind is NodeKind.DASK and cluster is not None else 1


def _check_addresses(
    nodes: tuple[NodeSpec, ...], clusters: Mapping[str, ClusterSpec], problems: Problems
) -> None:
    """Dask nodes have an address that may be used; others have none."""
    for position, spec in enumerate(nodes):
        where = f"{_WHERE}.nodes[{position}].address"
        if spec.kind is NodeKind.DASK:
            if problem := address_problem(spec.address) or cluster_problem(spec.address, clusters):
                problems.add(where, problem)
        elif spec.address is not None:
            problems.warn(where, f"only nodes of kind dask have an address; this one is of kind {spec.kind}")


def _check_memory(nodes: tuple[NodeSpec, ...], ceiling: int, problems: Problems) -> None:
    """What the nodes ask for must be there: within the operator's limit and within the machine."""
    asked = sum(node.memory_mb or 0 for node in nodes)
    if not asked:
        return
    granted = granted_memory() >> 20
    limits = [(ceiling, f"maxMemoryMb, which is {ceiling:,}")]
    if granted:
        limits.append((granted, f"the {granted:,} MB this machine grants"))
    limit, name = min(limits)
    if asked > limit:
        problems.add(
            f"{_WHERE}.nodes",
            f"insufficient memory: {asked:,} MB together (memoryMb) is above {name}",
            ErrorCode.RESOURCE_ERROR,
        )


def settle_parallelism(
    document: BatchDocument,
    resources: AllocatedResources,
    *,
    overrides: Overrides,
    precedence: Precedence,
    problems: Problems,
) -> int:
    """How many items run at once at the start; never more than the slots."""
    slots = resources.slots
    standard = precedence.decide(
        "defaultParallelism",
        document=document.processing_configuration.default_parallelism,
        setting="default_parallelism",
    )
    if overrides.parallelism is None and document.parallelism_level is None:
        origin = precedence.in_force["defaultParallelism"].origin
        parallelism: int = min(max(standard, resources.min_parallelism), slots)
        precedence.in_force["parallelismLevel"] = Setting(parallelism, origin)
        return parallelism
    level: int = precedence.decide(
        "parallelismLevel", cli=overrides.parallelism, document=document.parallelism_level
    )
    if level > slots:
        path = "--parallelism" if overrides.parallelism is not None else "$.parallelismLevel"
        problems.warn(path, f"{level} is more than the {many(slots, 'allocated slot')}; {slots} is used")
    return min(level, slots)
