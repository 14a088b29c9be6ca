"""Filling in every default: from a valid envelope to the values the engine runs under."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from everyitem.faces.documents.nodes import settle_parallelism, settle_resources
from everyitem.faces.documents.overrides import Overrides
from everyitem.faces.documents.precedence import Precedence
from everyitem.faces.documents.problems import Problems
from everyitem.faces.documents.schema import (
    BatchDocument,
    ExecutionPlanDocument,
    ProcessingConfigurationDocument,
    RetryDocument,
)
from everyitem.model.configuration import ErrorStrategy, Priority, ProcessingConfiguration
from everyitem.model.plan import ExecutionPlan, Partition, coverage_faults
from everyitem.model.resources import AllocatedResources
from everyitem.model.retry import RetryPolicy
from everyitem.model.totals import fault_of
from everyitem.settings import Origin, Setting, Settings


@dataclass(frozen=True, slots=True)
class Settled:
    """A document's wishes with everything decided."""

    configuration: ProcessingConfiguration
    resources: AllocatedResources
    plan: ExecutionPlan
    priority: Priority
    #: Settings in force by their document name.
    origins: dict[str, Setting]


def settle(
    document: BatchDocument,
    *,
    settings: Settings,
    overrides: Overrides,
    is_async: Callable[[str], bool],
    item_count: int | None,
    problems: Problems,
) -> Settled:
    """Decide every setting; problems and warnings are added to `problems`.

    `item_count` is None where the items could not be read; then partitions are not checked against them.
    """
    wishes = document.processing_configuration
    precedence = Precedence(settings, problems)
    decide = precedence.decide
    _limits(wishes, precedence, settings)
    natural = "async" if is_async(wishes.processor) else "thread"
    resources = settle_resources(
        document.allocated_resources,
        natural=natural,
        overrides=overrides,
        precedence=precedence,
        clusters=settings.clusters,
        problems=problems,
    )
    parallelism = settle_parallelism(
        document, resources, overrides=overrides, precedence=precedence, problems=problems
    )
    configuration = ProcessingConfiguration(
        processor=wishes.processor,
        parameters=wishes.parameters or {},
        secrets_directory=settings.secrets_directory,
        item_timeout=_seconds(decide("itemTimeoutMs", document=wishes.item_timeout_ms)),
        retry=_retry_policy(
            wishes.retry or RetryDocument(), wishes.max_retry_attempts, overrides, precedence
        ),
        strategy=decide(
            "errorHandlingStrategy",
            document=document.error_handling_strategy,
            default=ErrorStrategy.CONTINUE_ON_ERROR,
        ),
        tolerated_failure_count=decide("toleratedFailureCount", document=wishes.tolerated_failure_count),
        tolerated_failure_percentage=decide(
            "toleratedFailurePercentage", document=wishes.tolerated_failure_percentage
        ),
        parallelism=parallelism,
        adapts=overrides.parallelism is None and document.parallelism_level is None,
        parallelism_level=_beyond(overrides.parallelism or document.parallelism_level, parallelism),
        granted=settings.granted_slots,
        rate_limit=decide(
            "rateLimit.perSecond", document=wishes.rate_limit.per_second if wishes.rate_limit else None
        ),
        checkpoint_interval=decide(
            "checkpointInterval",
            cli=overrides.checkpoint_interval,
            document=document.checkpoint_interval or wishes.checkpoint_interval,
            setting="checkpoint_interval",
        ),
        checkpoint_interval_seconds=decide(
            "checkpointIntervalSeconds",
            document=wishes.checkpoint_interval_seconds,
            setting="checkpoint_interval_seconds",
        ),
        enable_checkpointing=decide(
            "enableCheckpointing", document=wishes.enable_checkpointing, setting="enable_checkpointing"
        ),
        at_most_once=decide("delivery", document=wishes.delivery, default="at-least-once") == "at-most-once",
        in_doubt_limit=decide("inDoubtLimit", document=wishes.in_doubt_limit, setting="in_doubt_limit"),
        control_totals=_control_totals(decide("controlTotals", document=wishes.control_totals), problems),
        timeout=_timeout_hours(wishes.timeout_hours, overrides, precedence, settings) * 3600,
        max_memory_mb=precedence.in_force["maxMemoryMb"].value,
        drain=decide("drainSeconds", setting="drain_seconds"),
        store_patience=decide("storePatienceSeconds", setting="store_patience_seconds"),
        outage_patience=_or_for_ever(
            decide(
                "outagePatienceSeconds",
                document=wishes.outage_patience_seconds,
                setting="outage_patience_seconds",
            )
        ),
        worker_start=decide("workerStartSeconds", setting="worker_start_seconds"),
    )
    if configuration.at_most_once and not configuration.enable_checkpointing:
        problems.add(
            "$.processingConfiguration.delivery",
            "at-most-once keeps outcomes on disk while items run; set enableCheckpointing to true",
        )
    priority = decide("priority", document=document.priority, default=Priority.NORMAL)
    plan = _plan(document.execution_plan, item_count, problems)
    return Settled(configuration, resources, plan, priority, precedence.in_force)


def _limits(wishes: ProcessingConfigurationDocument, precedence: Precedence, settings: Settings) -> None:
    """Limits of this batch: a document can lower the operator's, never raise them."""
    for name, wish, setting in (
        ("maxBatchSize", wishes.max_batch_size, "max_batch_size"),
        ("maxMemoryMb", wishes.max_memory_mb, "max_memory_mb"),
    ):
        precedence.decide(name, document=wish, setting=setting)
        path = f"$.processingConfiguration.{name}"
        precedence.cap(name, getattr(settings, setting), path=path, setting=setting)


def _beyond(level: int | None, capped: int) -> int | None:
    """The number asked for, where it was capped."""
    return level if level is not None and level > capped else None


def _or_for_ever(seconds: float | None) -> float:
    return math.inf if seconds is None else seconds


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def _retry_policy(
    wishes: RetryDocument, max_retries: int | None, overrides: Overrides, precedence: Precedence
) -> RetryPolicy:
    decide, standard = precedence.decide, RetryPolicy()
    return RetryPolicy(
        max_retries=decide(
            "maxRetryAttempts", cli=overrides.max_retries, document=max_retries, setting="max_retry_attempts"
        ),
        initial_delay=decide(
            "retry.initialDelayMs", document=wishes.initial_delay_ms, default=standard.initial_delay * 1000
        )
        / 1000,
        multiplier=decide("retry.multiplier", document=wishes.multiplier, default=standard.multiplier),
        max_delay=decide("retry.maxDelayMs", document=wishes.max_delay_ms, default=standard.max_delay * 1000)
        / 1000,
        jitter=decide("retry.jitter", document=wishes.jitter, default=standard.jitter),
    )


def _control_totals(names: Sequence[str] | None, problems: Problems) -> tuple[str, ...]:
    """The names of the totals, each of which can be one and stands there once."""
    where = "$.processingConfiguration.controlTotals"
    for position, name in enumerate(names or ()):
        if fault := fault_of(name):
            problems.add(f"{where}[{position}]", f"{name!r} {fault}")
        elif name in (names or ())[:position]:
            problems.add(f"{where}[{position}]", f"{name!r} is named twice")
    return tuple(names or ())


def _timeout_hours(
    wish: float | None, overrides: Overrides, precedence: Precedence, settings: Settings
) -> float:
    """Hours one window may last: a ceiling where the operator set it, else only a default."""
    hours: float = precedence.decide(
        "timeoutHours", cli=overrides.timeout_hours, document=wish, setting="timeout_hours"
    )
    if settings.origin("timeout_hours") in (Origin.ENVIRONMENT, Origin.FILE):
        path = "--timeout-hours" if overrides.timeout_hours else "$.processingConfiguration.timeoutHours"
        hours = precedence.cap("timeoutHours", settings.timeout_hours, path=path, setting="timeout_hours")
    return hours


def _plan(wishes: ExecutionPlanDocument, item_count: int | None, problems: Problems) -> ExecutionPlan:
    where = "$.executionPlan.partitions"
    partitions = tuple(
        Partition(one.partition_id, one.first_index, one.last_index) for one in wishes.partitions or ()
    )
    if partitions and wishes.partition_count is not None:
        problems.warn("$.executionPlan.partitionCount", "partitions are given too and win over the count")
    seen: set[str] = set()
    for position, one in enumerate(partitions):
        if one.partition_id in seen:
            problems.add(f"{where}[{position}].partitionId", f"{one.partition_id!r} is used twice")
        seen.add(one.partition_id)
    if partitions and item_count == 0:
        problems.add(where, "the batch has no items, so there is nothing to partition; leave partitions out")
    elif partitions and item_count is not None and (faults := coverage_faults(partitions, item_count)):
        problems.add(
            where, "; ".join(faults[:20]) + (f"; and {len(faults) - 20} more" if len(faults) > 20 else "")
        )
    ordered = tuple(sorted(partitions, key=lambda one: one.first))
    return ExecutionPlan(partition_count=wishes.partition_count, partitions=ordered)
