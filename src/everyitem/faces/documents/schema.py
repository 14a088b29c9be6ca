"""The batch document's envelope as pydantic models: the only place that knows its camelCase names.

Types are strict ("5" is no number), unknown fields are kept, and `null` in an optional field means that it
is absent. Bounds that depend on the operator's
settings are applied later, by `settling`.
"""

from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from everyitem.model.configuration import ErrorStrategy, Priority
from everyitem.model.resources import NodeKind
from everyitem.model.retry import Jitter

_BILLION = 1_000_000_000

SourceKind = Literal[
    "inline", "jsonl", "csv", "parquet", "sql", "directory", "http", "cyoda-search", "cyoda-entities"
]
SOURCE_KINDS: tuple[str, ...] = get_args(SourceKind)


def _whole(value: object) -> object:
    """`10.0` is an integer to JSON Schema, whatever wrote it; `10.5` and texts stay what they are."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


_WHOLE = BeforeValidator(_whole)
Name = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=1, le=_BILLION), _WHOLE]
Milliseconds = Annotated[float, Field(ge=0, le=_BILLION)]


class Part(BaseModel):
    """What all objects of the document have in common."""

    model_config = ConfigDict(
        strict=True,
        extra="allow",
        frozen=True,
        alias_generator=to_camel,
        allow_inf_nan=False,
        field_title_generator=lambda name, _: to_camel(name),
    )


class RetryDocument(Part):
    """When a failed attempt is tried again; `null` means the default."""

    initial_delay_ms: Milliseconds | None = None
    multiplier: Annotated[float, Field(ge=1, le=1_000_000)] | None = None
    max_delay_ms: Milliseconds | None = None
    jitter: Annotated[Jitter, Field(strict=False)] | None = None


class RateLimitDocument(Part):
    """How many items may begin in a second."""

    per_second: Annotated[float, Field(gt=0, le=_BILLION)]


class ProcessingConfigurationDocument(Part):
    """The rules of this batch; every key of the specification's section 9 may stand here."""

    processor: Name = Field(description="Name of a registered item processor; never code to import.")
    parameters: dict[str, Any] | None = None
    item_timeout_ms: Annotated[float, Field(gt=0, le=_BILLION)] | None = None
    max_retry_attempts: Annotated[int, Field(ge=0, le=10_000), _WHOLE] | None = None
    retry: RetryDocument | None = None
    tolerated_failure_percentage: Annotated[float, Field(ge=0, le=100)] | None = None
    tolerated_failure_count: Annotated[int, Field(ge=0, le=_BILLION), _WHOLE] | None = None
    max_batch_size: Count | None = None
    max_memory_mb: Annotated[int, Field(ge=1, le=_BILLION), _WHOLE] | None = None
    default_parallelism: Annotated[int, Field(ge=1, le=100_000), _WHOLE] | None = None
    checkpoint_interval: Count | None = None
    checkpoint_interval_seconds: Annotated[float, Field(gt=0, le=86_400)] | None = None
    timeout_hours: Annotated[float, Field(gt=0, le=87_600)] | None = None
    enable_checkpointing: bool | None = None
    control_totals: Annotated[list[Name], Field(max_length=20)] | None = Field(
        default=None,
        description="Amounts of the items to sum exactly: a member, or a JSON pointer like /price/net.",
    )
    delivery: Literal["at-least-once", "at-most-once"] | None = None
    in_doubt_limit: Annotated[int, Field(ge=1, le=100_000), _WHOLE] | None = None
    rate_limit: RateLimitDocument | None = None
    outage_patience_seconds: Annotated[float, Field(gt=0, le=604_800)] | None = None


class NodeDocument(Part):
    """One allocated node."""

    node_id: Name | None = None
    kind: Annotated[NodeKind, Field(strict=False)] | None = None
    slots: Annotated[int, Field(ge=1, le=10_000), _WHOLE] | None = None
    memory_mb: Annotated[int, Field(ge=1, le=_BILLION), _WHOLE] | None = None
    address: Name | None = None


class AllocatedResourcesDocument(Part):
    """Nodes, or a number of them, and the bounds of parallelism."""

    nodes: list[NodeDocument] | None = None
    allocated_nodes: Annotated[int, Field(ge=1, le=1000), _WHOLE] | None = None
    min_parallelism: Annotated[int, Field(ge=1, le=100_000), _WHOLE] | None = None
    max_parallelism: Annotated[int, Field(ge=1, le=100_000), _WHOLE] | None = None


class PartitionDocument(Part):
    """One planned share; both indices are included."""

    partition_id: Name
    first_index: Annotated[int, Field(ge=0, le=_BILLION), _WHOLE]
    last_index: Annotated[int, Field(ge=0, le=_BILLION), _WHOLE]


class ExecutionPlanDocument(Part):
    """How the items are shared out."""

    partition_count: Annotated[int, Field(ge=1, le=1_000_000), _WHOLE] | None = None
    partitions: list[PartitionDocument] | None = None


class ItemSourceDocument(Part):
    """Where the items are, when they do not stand in the document."""

    kind: SourceKind | None = None
    reference: Name | None = None


class BatchDocument(Part):
    """The specification's ProcessingBatch. Items are any JSON values, checked apart from this model."""

    batch_id: Name
    batch_items: list[Any]
    processing_configuration: ProcessingConfigurationDocument
    allocated_resources: AllocatedResourcesDocument
    execution_plan: ExecutionPlanDocument
    item_source: ItemSourceDocument | None = None
    priority: Annotated[Priority, Field(strict=False)] | None = None
    checkpoint_interval: Count | None = None
    error_handling_strategy: Annotated[ErrorStrategy, Field(strict=False)] | None = None
    parallelism_level: Annotated[int, Field(ge=1, le=100_000), _WHOLE] | None = None
