"""The rules one batch runs under, all defaults filled in."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

from everyitem.model.retry import RetryPolicy


class ErrorStrategy(StrEnum):
    """What final item failures do to the batch (contract section 1)."""

    CONTINUE_ON_ERROR = "CONTINUE_ON_ERROR"
    FAIL_FAST = "FAIL_FAST"
    STOP_ON_TOLERANCE = "STOP_ON_TOLERANCE"


class Priority(StrEnum):
    """Takes effect where several batches share a machine."""

    LOW = "LOW"
    NORMAL = "NORMAL"
    HIGH = "HIGH"
    CRITICAL = "CRITICAL"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessingConfiguration:
    """Everything the engine needs to know about how to process a batch. Times in seconds."""

    processor: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    #: Where files with the secrets that parameters refer to are; None: environment variables only.
    secrets_directory: str | None = None
    item_timeout: float | None = None
    retry: RetryPolicy = RetryPolicy()
    strategy: ErrorStrategy = ErrorStrategy.CONTINUE_ON_ERROR
    tolerated_failure_count: int | None = None
    tolerated_failure_percentage: float | None = None
    #: How many items may run at once at the start; already capped to the allocated slots.
    parallelism: int = 5
    #: Whether that number is where the search for the best one begins; else it is kept.
    adapts: bool = False
    #: The number before the cap, where it is kept and was capped: more slots may be allocated later.
    parallelism_level: int | None = None
    #: The most items that may run at once, however many slots are allocated; a service may change that.
    granted: int | None = None
    #: How many items may begin in one second, over all nodes; None: as many as there are slots for.
    rate_limit: float | None = None
    checkpoint_interval: int = 1000
    checkpoint_interval_seconds: float = 30.0
    enable_checkpointing: bool = True
    #: No attempt is ever called twice: intents are on disk before items start.
    at_most_once: bool = False
    #: How many items may be in doubt after a crash.
    in_doubt_limit: int = 100
    #: Amounts of the items that are summed exactly, by name.
    control_totals: tuple[str, ...] = ()
    #: The batch timeout: active time one window may last.
    timeout: float = 4 * 3600.0
    #: Memory of coordinator and workers together, in MB.
    max_memory_mb: int = 16_384
    #: How long a drain waits for items in flight before it interrupts them.
    drain: float = 30.0
    #: How long a run waits for a store that is out of reach before it ends.
    store_patience: float = 300.0
    #: How long an outage of what items depend on is waited for while nothing succeeds; by default only the
    #: batch timeout bounds it.
    outage_patience: float = math.inf
    #: How long a worker process may take to import the item processor and to run its `setup`.
    worker_start: float = 300.0

    def tolerated_failures(self, items: int) -> int | None:
        """How many final failures are tolerated; None when no tolerance applies.

        FAIL_FAST tolerates none. Otherwise the given count or floor(items * percentage / 100), the
        smaller where both are given; STOP_ON_TOLERANCE without a tolerance means 0.
        """
        if self.strategy is ErrorStrategy.FAIL_FAST:
            return 0
        limits = []
        if self.tolerated_failure_count is not None:
            limits.append(self.tolerated_failure_count)
        if self.tolerated_failure_percentage is not None:
            # exact: a float product of 10,000 and 0.57 is a hair below 5,700
            limits.append(int(items * Decimal(str(self.tolerated_failure_percentage)) // 100))
        if limits:
            return min(limits)
        return 0 if self.strategy is ErrorStrategy.STOP_ON_TOLERANCE else None

    @property
    def stops_on_failures(self) -> bool:
        """Whether final failures can end the batch."""
        return self.strategy is not ErrorStrategy.CONTINUE_ON_ERROR
