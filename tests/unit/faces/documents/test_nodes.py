"""Nodes and parallelism: what a batch gets for what it asks."""

import pytest

from everyitem.faces.documents import Overrides, read_document
from everyitem.model.errors import DocumentRefused, ErrorCode
from everyitem.settings import Settings


def nodes_of(read):
    """Nodes as (id, kind, slots)."""
    return [(node.node_id, str(node.kind), node.slots) for node in read.batch.resources.nodes]


@pytest.mark.parametrize(("is_async", "kind"), [(False, "thread"), (True, "async")])
def test_without_nodes_the_processor_s_nature_decides(make, is_async, kind):
    """Plain processors run on threads, coroutines on an event loop; ten slots."""
    read = read_document(make(), settings=Settings(), is_async=lambda _: is_async)
    assert nodes_of(read) == [("local", kind, 10)]


@pytest.mark.parametrize("resources", [{}, {"nodes": []}, {"nodes": None}])
def test_max_parallelism_is_the_slots_where_no_nodes_are_given(accept, resources):
    """Without nodes the one node has `maxParallelism` slots."""
    read = accept(allocatedResources=resources | {"maxParallelism": 3})
    assert nodes_of(read) == [("local", "thread", 3)]


def test_allocated_nodes_are_process_nodes_of_one_slot(accept):
    """`{"allocatedNodes": 3}` is three process nodes with a slot each."""
    read = accept(allocatedResources={"allocatedNodes": 3})
    assert nodes_of(read) == [(f"node-{k}", "process", 1) for k in (1, 2, 3)]


def test_nodes_are_as_given(accept):
    """Kinds and slots stand as written; a missing id is the position."""
    wishes = [{"nodeId": "a", "kind": "process", "slots": 2}, {"kind": "async", "slots": 50}, {"slots": 3}]
    assert nodes_of(accept(allocatedResources={"nodes": wishes})) == [
        ("a", "process", 2),
        ("node-2", "async", 50),
        ("node-3", "thread", 3),
    ]


def test_the_nodes_option_replaces_every_kind_and_says_so(make):
    """`--nodes` changes the kind, never the slots; a notice says it."""
    document = make(allocatedResources={"nodes": [{"kind": "process", "slots": 2}, {"kind": "async"}]})
    read = read_document(document, settings=Settings(), overrides=Overrides(nodes="thread"))
    assert nodes_of(read) == [("node-1", "thread", 2), ("node-2", "thread", 1)]
    assert "kind thread" in read.batch.warnings[0].message
    assert read.origins["nodes"].origin == "cli"


def test_the_nodes_option_without_nodes_needs_no_notice(make):
    """Where the document allocates nothing there is nothing to replace."""
    read = read_document(make(), settings=Settings(), overrides=Overrides(nodes="process"))
    assert nodes_of(read) == [("local", "process", 10)]
    assert read.batch.warnings == ()


@pytest.mark.parametrize(
    ("level", "standard", "least", "slots", "expected"),
    [
        (None, 5, None, 10, 5),
        (None, 5, None, 3, 3),
        (None, 2, 4, 10, 4),
        (None, 2, 9, 3, 3),
        (7, 5, None, 10, 7),
        (1, 5, 4, 10, 1),
        (20, 5, None, 10, 10),
    ],
)
def test_where_parallelism_starts(accept, level, standard, least, slots, expected):
    """The level fixes it; else the default, at least `minParallelism`; never more than the slots."""
    read = accept(
        settings=Settings(default_parallelism=standard),
        allocatedResources={"nodes": [{"kind": "thread", "slots": slots}], "minParallelism": least},
        parallelismLevel=level,
    )
    assert read.batch.configuration.parallelism == expected
    assert read.batch.configuration.adapts is (level is None)


def test_a_level_above_the_slots_is_capped_with_a_warning(accept):
    """More than the slots is said and not done."""
    read = accept(parallelismLevel=64)
    assert [str(warning) for warning in read.batch.warnings] == [
        "$.parallelismLevel: 64 is more than the 10 allocated slots; 10 is used"
    ]


def test_partitions_come_in_item_order(accept):
    """Partitions are sorted by their first index."""
    partitions = [
        {"partitionId": "late", "firstIndex": 1, "lastIndex": 1},
        {"partitionId": "early", "firstIndex": 0, "lastIndex": 0},
    ]
    plan = accept(executionPlan={"partitions": partitions}).batch.plan
    assert [one.partition_id for one in plan.partitions] == ["early", "late"]


def test_partitions_of_an_empty_batch_say_what_to_do(make, problems_of):
    """There is no last item to name, and nothing to partition."""
    partitions = [{"partitionId": "a", "firstIndex": 0, "lastIndex": 1}]
    found = problems_of(make(batchItems=[], executionPlan={"partitions": partitions}))
    assert found == {
        "$.executionPlan.partitions": "the batch has no items, so there is nothing to partition; "
        "leave partitions out"
    }


def test_memory_of_nodes_keeps_to_the_document_s_own_limit(make):
    """`maxMemoryMb` of a document lowers the operator's for its nodes too; more is a missing resource."""
    document = make(
        processingConfiguration={"processor": "p", "maxMemoryMb": 100},
        allocatedResources={"nodes": [{"memoryMb": 60}, {"memoryMb": 50}]},
    )
    with pytest.raises(DocumentRefused) as refused:
        read_document(document, settings=Settings())
    assert refused.value.refusal_code is ErrorCode.RESOURCE_ERROR
    assert str(refused.value) == (
        "$.allocatedResources.nodes: insufficient memory: 110 MB together (memoryMb) is above maxMemoryMb, "
        "which is 100"
    )


def test_nodes_get_no_more_memory_than_the_machine_has(make, problems_of):
    """Whatever the operator allows: memory that is not there is refused before anything runs."""
    document = make(allocatedResources={"nodes": [{"memoryMb": 900_000_000}]})
    found = problems_of(document, Settings(max_memory_mb=1_000_000_000))
    assert "MB this machine grants" in found["$.allocatedResources.nodes"]
