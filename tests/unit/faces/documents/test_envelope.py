"""The envelope: what JSON Schema calls an integer, what `null` means, which names are near-misses."""

import json

import pytest

from everyitem.faces.documents import read_document
from everyitem.model.resources import NodeKind
from everyitem.settings import Settings


@pytest.mark.parametrize("written", ["10", "10.0", "1e1"])
def test_a_whole_number_is_one_however_it_is_written(make, written):
    """JSON Schema has no integers apart from numbers: 10.0 is one."""
    text = json.dumps(make(checkpointInterval="HERE")).replace('"HERE"', written)
    batch = read_document(text.encode(), settings=Settings()).batch
    assert batch.configuration.checkpoint_interval == 10
    assert type(batch.configuration.checkpoint_interval) is int


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (10.5, "must be a whole number; found 10.5"),
        ("10", "must be a whole number; found '10'"),
        (True, "must be a whole number; found true"),
        (0.0, "must be at least 1; found 0"),
        (1e300, "must be at most 1,000,000,000; found a huge number"),
    ],
)
def test_what_is_no_whole_number_in_bounds_is_refused(make, problems_of, written, message):
    """No rounding, no texts, no booleans; bounds hold for 10.0 as for 10."""
    assert problems_of(make(checkpointInterval=written)) == {"$.checkpointInterval": message}


def test_null_in_an_optional_field_means_absent(accept):
    """One rule for nodes, sources and everything else that may be left out."""
    read = accept(
        itemSource={"kind": None, "reference": None},
        allocatedResources={"nodes": [{"nodeId": None, "kind": None, "slots": None, "memoryMb": None}]},
        executionPlan={"partitionCount": None, "partitions": None},
        processingConfiguration={"processor": "p", "retry": None, "maxMemoryMb": None},
        priority=None,
    )
    (node,) = read.batch.resources.nodes
    assert (node.kind, node.slots, node.memory_mb) == (NodeKind.THREAD, 1, None)
    assert len(read.batch.items) == 2


def test_a_near_miss_names_what_was_written(accept):
    """The path ends in the user's own spelling."""
    read = accept(processingConfiguration={"processor": "p", "maxBatchSze": 5})
    assert [str(warning) for warning in read.batch.warnings] == [
        "$.processingConfiguration.maxBatchSze: unknown field, kept as it is; did you mean 'maxBatchSize'?"
    ]
