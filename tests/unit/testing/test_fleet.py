"""Many virtual nodes and the engine's real decisions: what a fleet finds is true of its batch."""

import sys
import tracemalloc

import pytest

from everyitem.model.errors import UsageError
from everyitem.testing.fleet import Fleet, Setting
from everyitem.testing.fleet.virtual_disk import VirtualDisk


def play(**setting):
    return Fleet(Setting(**setting)).run()


def test_every_item_is_accounted_for():
    """Fifty nodes of different speed do a skewed batch: all is done, and quick ones take over work."""
    findings = play(items=100_000, nodes=50)
    assert (findings.succeeded, findings.failed) == (100_000, 0)
    assert findings.checkpoints == 100
    assert findings.steals > 0
    assert findings.ideal < findings.makespan < 1.5 * findings.ideal
    assert findings.microseconds_per_item > 0
    assert findings.saturates_at > 50


def test_lost_nodes_lose_no_items():
    """Every second node goes, and what it had is done by others."""
    findings = play(items=20_000, nodes=20, slots=2, lost=10)
    assert findings.succeeded == 20_000
    assert findings.nodes_lost == 10
    assert findings.makespan > play(items=20_000, nodes=20, slots=2).makespan


def test_a_fleet_is_played_the_same_way_each_time():
    """Virtual figures depend on the setting and its seed alone."""
    one, again, other = (play(items=30_000, nodes=12, lost=3, seed=seed) for seed in (1, 1, 2))
    same = [(run.makespan, run.slices, run.steals, run.messages) for run in (one, again, other)]
    assert same[0] == same[1] != same[2]


def test_long_items_do_not_keep_others_waiting():
    """Behind an item of half a second nothing waits: what is leased with it is taken back."""
    findings = play(items=2_000, nodes=10, slow=500, item_seconds=0.001, spread=0.0)
    assert findings.succeeded == 2_000
    assert findings.recalls > 0
    assert findings.makespan < 2 * findings.ideal


def test_a_slow_coordinator_is_what_everybody_waits_for():
    """Where a message takes it a millisecond, the makespan is that of its messages."""
    findings = play(items=20_000, nodes=100, decision=0.001)
    assert findings.makespan > 0.9 * 0.001 * findings.messages
    assert findings.makespan > 2 * play(items=20_000, nodes=100).makespan


def test_slices_do_not_shrink_where_messages_wait():
    """Waiting is not being slow. Taken for that, it makes more messages, and more waiting."""
    overloaded = play(items=100_000, nodes=50, decision=0.01)
    assert overloaded.messages < 1.3 * play(items=100_000, nodes=50).messages
    assert overloaded.makespan < 1.1 * 0.01 * overloaded.messages


def test_a_message_looks_at_no_more_holders_where_there_are_more():
    """Calls are a cost no other load of the machine changes: as many with 200 nodes as with 20."""

    def calls_per_message(nodes):
        calls = 0

        def note(frame, event, argument):
            nonlocal calls
            calls += event == "call"

        fleet = Fleet(Setting(items=50 * nodes, nodes=nodes))
        sys.setprofile(note)
        try:
            messages = fleet.run().messages
        finally:
            sys.setprofile(None)
        return calls / messages

    assert calls_per_message(200) < 1.05 * calls_per_message(20)


def test_memory_does_not_grow_with_the_items():
    """Four times the items need no more than their bytes in the ledger."""

    def most(items):
        fleet = Fleet(Setting(items=items, nodes=10, slow=1.0))
        tracemalloc.start()
        try:
            fleet.run()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    most(10_000)
    assert most(100_000) < 1.3 * most(30_000)


def test_an_empty_batch_ends_at_once():
    """No items: one checkpoint, no slices."""
    findings = play(items=0, nodes=3)
    assert (findings.slices, findings.checkpoints, findings.efficiency) == (0, 1, 0.0)


@pytest.mark.parametrize(
    "nonsense", [{"nodes": 0}, {"lost": 2}, {"item_seconds": 0}, {"slow": 0.5}, {"spread": 1}, {"slots": 0}]
)
def test_a_setting_without_an_end_is_refused(nonsense):
    """No node, or nothing that takes time: said before anything begins."""
    with pytest.raises(UsageError):
        Setting(**({"items": 10, "nodes": 2} | nonsense))


def test_what_is_asked_for_during_a_commit_goes_with_the_next_one():
    """One transaction at a time, with everything that waits."""
    disk = VirtualDisk(0.005)
    assert disk.save(1, at=0.0) == 0.005
    assert disk.save(2, at=0.001) is None
    assert disk.save(3, at=0.002) is None
    assert disk.ended(at=0.005) == (1, 0.010)
    assert disk.ended(at=0.010) == (3, None)
