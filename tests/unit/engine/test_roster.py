"""Nodes that are allocated and taken away while a batch runs, as the state machine sees it."""

from tests.unit.engine.driver import Driver, leases, successes

from everyitem.engine.messages import AddNode, Command, Ending, ResizeNode, ResourcesAllocated
from everyitem.model.allocation import AllocatedNode, Allocation
from everyitem.model.resources import AllocatedResources, NodeKind, NodeSpec
from everyitem.ports.node import HolderJoined, NodeFailed


def spec(node_id: str, slots: int, kind: NodeKind = NodeKind.THREAD) -> NodeSpec:
    return NodeSpec(node_id=node_id, kind=kind, slots=slots)


def allocate(driver: Driver, version: int, *nodes: NodeSpec) -> list[Command]:
    """These nodes are allocated from now on."""
    return driver.tell(ResourcesAllocated(driver.now, version, AllocatedResources(nodes=nodes)))


def resized(commands: list[Command]) -> dict[str, int]:
    """Which nodes use how many slots now."""
    return {command.node_id: command.slots for command in commands if isinstance(command, ResizeNode)}


def test_a_new_node_is_made_and_then_started() -> None:
    """It takes part in what is left."""
    driver = Driver(10, parallelism_level=3)
    driver.join()
    commands = allocate(driver, 1, spec("n", 1), spec("m", 2))
    assert [one.node.node_id for one in commands if isinstance(one, AddNode)] == ["m"]
    assert resized(commands) == {"m": 2}
    assert driver.join("m", "m", 2, shared=True)


def test_a_node_that_is_taken_away_finishes_what_it_has_begun_and_gets_nothing_more() -> None:
    """Nothing is lost and nothing runs twice; the others take over."""
    driver = Driver(10)
    (lease,) = driver.join()
    allocate(driver, 1, spec("m", 1))
    assert driver.finish(lease, successes(lease.indices)) == []
    assert driver.state.ledger.succeeded == 1
    assert driver.join("m", "m", 1, shared=True)
    assert driver.verdict is None


def test_a_version_that_is_not_new_changes_nothing() -> None:
    """Events come twice and in any order."""
    driver = Driver(10)
    driver.join()
    assert resized(allocate(driver, 5, spec("m", 1))) == {"n": 0, "m": 1}
    assert resized(allocate(driver, 5, spec("n", 1))) == {}
    assert resized(allocate(driver, 4, spec("n", 1))) == {}
    assert resized(allocate(driver, 6, spec("n", 1))) == {"m": 0, "n": 1}


def test_a_node_that_comes_back_is_the_one_it_was() -> None:
    """Its holders are known; one that came up while it was not allocated takes part, too."""
    driver = Driver(10, nodes=[("n", 1), ("m", 1)])
    driver.join()
    allocate(driver, 1, spec("n", 1))
    assert leases(driver.tell(HolderJoined(0.0, "m/1", "m", 1, shared=False))) == []
    commands = allocate(driver, 2, spec("n", 1), spec("m", 1))
    assert not [one for one in commands if isinstance(one, AddNode)]
    assert resized(commands) == {"m": 1}
    assert leases(commands)


def test_a_lost_node_stays_lost() -> None:
    """What is said of it changes nothing, and it does not count as something to run on."""
    driver = Driver(10, nodes=[("n", 1), ("m", 1)])
    driver.join()
    driver.tell(NodeFailed(0.0, "m", "gone"))
    assert resized(allocate(driver, 1, spec("m", 4))) == {}
    assert resized(allocate(driver, 2, spec("n", 1), spec("m", 4))) == {}
    driver.tell(NodeFailed(0.0, "n", "gone"))
    driver.confirm_saves() if driver.saves else None
    assert driver.state.verdict is not None
    assert driver.state.verdict.ending is Ending.OUT_OF_RESOURCES


def test_an_allocation_changes_the_slots_of_nodes_and_nothing_else() -> None:
    """What runs does not become of another kind; what is new is of the kind of the first node."""
    before = AllocatedResources(nodes=(spec("a", 2, NodeKind.ASYNC), spec("b", 1)), min_parallelism=2)
    nodes = (
        AllocatedNode(node_id="b", slots=5, kind=NodeKind.PROCESS),
        AllocatedNode(node_id="c", slots=1),
    )
    allocation = Allocation(version=3, nodes=nodes)
    after = allocation.applied_to(before)
    assert after.nodes == (spec("b", 5), spec("c", 1, NodeKind.ASYNC))
    assert after.min_parallelism == 2
    assert allocation.changed_beyond_slots(before) == ["b"]
    assert Allocation(version=4, nodes=nodes[1:], least=9).applied_to(before).min_parallelism == 1
