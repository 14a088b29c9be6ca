"""The batch: the specification's `ProcessingBatch`, read, checked and completed."""

from dataclasses import dataclass

from everyitem.model.configuration import Priority, ProcessingConfiguration
from everyitem.model.errors import Problem
from everyitem.model.items import Items
from everyitem.model.plan import ExecutionPlan
from everyitem.model.resources import AllocatedResources


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessingBatch:
    """One accepted batch document with every default filled in."""

    batch_id: str
    items: Items
    configuration: ProcessingConfiguration
    resources: AllocatedResources
    plan: ExecutionPlan
    priority: Priority = Priority.NORMAL
    #: The document without its items, as given (JSON text): unknown fields and digits kept.
    envelope: bytes = b"{}"
    #: SHA-256 over items digest, processor and parameters: what makes two documents the same content.
    content: str = ""
    #: What it is stored and steered under where that is not its `batchId`: on a platform several entities
    #: may carry one `batchId` and are batches of their own.
    known_as: str | None = None
    #: Things worth saying that do not stop the batch (near-miss names, a capped level, ...).
    warnings: tuple[Problem, ...] = ()

    @property
    def identity(self) -> str:
        """What makes two submissions the same batch; stores and idempotency keys use nothing else."""
        return self.known_as or self.batch_id
