"""What would happen to a batch: its partitions, and the settings in force with where each came from."""

from typing import TYPE_CHECKING, Any

from everyitem.faces.api.forecast import Forecast
from everyitem.faces.api.views import View
from everyitem.model.plan import plan_partitions

if TYPE_CHECKING:
    from everyitem.faces.documents import ReadDocument


class PlannedPartition(View, frozen=True, kw_only=True):
    """A contiguous share of the items; both ends included."""

    partition_id: str
    first_index: int
    last_index: int


class PlannedNode(View, frozen=True, kw_only=True):
    """Where items will run."""

    node_id: str
    kind: str
    slots: int
    memory_mb: int | None


class SettingInForce(View, frozen=True, kw_only=True):
    """One setting and who decided it: cli, document, environment, file or default."""

    name: str
    value: Any
    origin: str


class Plan(View, frozen=True, kw_only=True):
    """An accepted batch, ready to run."""

    batch_id: str
    processor: str
    items: int
    items_digest: str
    priority: str
    #: Items that run at once at the start.
    parallelism: int
    nodes: tuple[PlannedNode, ...]
    partitions: tuple[PlannedPartition, ...]
    settings: tuple[SettingInForce, ...]
    warnings: tuple[str, ...]
    #: What to expect, None where neither a sample nor history says anything.
    forecast: Forecast | None = None


def plan_batch(
    document: "ReadDocument", warnings: tuple[str, ...] = (), forecast: Forecast | None = None
) -> Plan:
    """The plan for a document that was read; `warnings` are said besides the document's own."""
    batch = document.batch
    configuration, resources = batch.configuration, batch.resources
    partitions = plan_partitions(
        batch.plan, count=len(batch.items), workers=min(configuration.parallelism, resources.slots)
    )
    return Plan(
        batch_id=batch.batch_id,
        processor=configuration.processor,
        items=len(batch.items),
        items_digest=batch.items.digest,
        priority=batch.priority,
        parallelism=configuration.parallelism,
        nodes=tuple(
            PlannedNode(node_id=node.node_id, kind=node.kind, slots=node.slots, memory_mb=node.memory_mb)
            for node in resources.nodes
        ),
        partitions=tuple(
            PlannedPartition(partition_id=one.partition_id, first_index=one.first, last_index=one.last)
            for one in partitions
        ),
        settings=tuple(
            SettingInForce(name=name, value=setting.value, origin=setting.origin)
            for name, setting in document.origins.items()
        ),
        warnings=(*map(str, batch.warnings), *warnings),
        forecast=forecast,
    )
