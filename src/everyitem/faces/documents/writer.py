"""Writing a `ProcessingBatch` made in Python down as an envelope, so that it can be stored and resumed."""

import math
from typing import Any

from everyitem.model.batch import ProcessingBatch
from everyitem.model.retry import RetryPolicy


def document_of(batch: ProcessingBatch) -> dict[str, Any]:
    """The document of a batch without its items; reads back to the same values."""
    configuration = batch.configuration
    return {
        "batchId": batch.batch_id,
        "batchItems": [],
        "processingConfiguration": {
            "processor": configuration.processor,
            "parameters": dict(configuration.parameters),
            "itemTimeoutMs": None
            if configuration.item_timeout is None
            else configuration.item_timeout * 1000,
            "maxRetryAttempts": configuration.retry.max_retries,
            "retry": _retry(configuration.retry),
            "toleratedFailureCount": configuration.tolerated_failure_count,
            "toleratedFailurePercentage": configuration.tolerated_failure_percentage,
            "checkpointIntervalSeconds": configuration.checkpoint_interval_seconds,
            "enableCheckpointing": configuration.enable_checkpointing,
            "delivery": "at-most-once" if configuration.at_most_once else "at-least-once",
            "inDoubtLimit": configuration.in_doubt_limit,
            "timeoutHours": configuration.timeout / 3600,
            "rateLimit": None
            if configuration.rate_limit is None
            else {"perSecond": configuration.rate_limit},
            "outagePatienceSeconds": None
            if math.isinf(configuration.outage_patience)
            else configuration.outage_patience,
            "defaultParallelism": configuration.parallelism,
        },
        "allocatedResources": {
            "nodes": [
                {"nodeId": node.node_id, "kind": node.kind, "slots": node.slots, "memoryMb": node.memory_mb}
                for node in batch.resources.nodes
            ],
            "minParallelism": batch.resources.min_parallelism,
        },
        "executionPlan": {
            "partitionCount": batch.plan.partition_count,
            "partitions": [
                {"partitionId": one.partition_id, "firstIndex": one.first, "lastIndex": one.last}
                for one in batch.plan.partitions
            ],
        },
        "priority": batch.priority,
        "checkpointInterval": configuration.checkpoint_interval,
        "errorHandlingStrategy": configuration.strategy,
        # where it is found while the batch runs, the number is only where the search begins
        "parallelismLevel": None if configuration.adapts else configuration.parallelism,
    }


def _retry(policy: RetryPolicy) -> dict[str, Any]:
    return {
        "initialDelayMs": policy.initial_delay * 1000,
        "multiplier": policy.multiplier,
        "maxDelayMs": policy.max_delay * 1000,
        "jitter": policy.jitter,
    }
