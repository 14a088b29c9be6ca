"""The shared queue: every position of every lease is accounted for, whatever slots and watcher do."""

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from everyitem.adapters.nodes.claims import next_size
from everyitem.adapters.nodes.shared_queue import SharedQueue
from everyitem.model.errors import ErrorCode
from everyitem.model.items import InMemoryItems
from everyitem.model.outcome import Failure
from everyitem.ports.node import HolderLost, Lease, OutcomesArrived, SliceFinished, SliceShortened
from everyitem.work.outcomes import keep
from everyitem.work.window import END, SINCE, STARTED

COUNT = 60
ITEMS = InMemoryItems(msgspec.json.encode(list(range(COUNT))), named=False)


class Machine(RuleBasedStateMachine):
    """Random slots, revocations, trims and give-ups against a model that counts."""

    def __init__(self):
        super().__init__()
        self.clock = 0
        self.queue = SharedQueue(
            "h", items=ITEMS, clock=lambda: 0.0, max_attempts=1, on_work=lambda count: None
        )
        self.queue.open(self.hear)
        self.leases = {}
        self.slots = []
        self.free = set(range(COUNT))

    def hear(self, message):
        """Keep the books as the engine does."""
        assert not isinstance(message, HolderLost)
        indices, seen = self.leases[message.lease_id]
        if isinstance(message, SliceShortened):
            back = set(indices[message.kept :])
            assert not back & seen
            self.free |= back
            self.leases[message.lease_id] = (indices[: message.kept], seen)
            return
        assert isinstance(message, OutcomesArrived | SliceFinished)
        got = [failure.index for failure in message.block.failures]
        got += [index for run in message.block.successes for index in run.indices()]
        assert len(got) == len(set(got))
        assert set(got) <= set(indices)
        assert not set(got) & seen
        seen |= set(got)
        if isinstance(message, SliceFinished):
            assert seen == set(indices), "nothing here gives items back but a revocation"
            del self.leases[message.lease_id]

    @precondition(lambda self: self.free)
    @rule(data=st.data())
    def lease(self, data):
        """Lease some items nobody holds."""
        chosen = data.draw(st.lists(st.sampled_from(sorted(self.free)), min_size=1, max_size=12, unique=True))
        self.free -= set(chosen)
        self.clock += 1
        self.leases[self.clock] = (tuple(chosen), set())
        self.queue.add(Lease(self.clock, tuple(chosen), 1, float("inf")))

    @rule(most=st.integers(1, 8))
    def claim(self, most):
        """A slot takes some items and begins the first."""
        claim = self.queue.claim(None, most)
        if claim is not None:
            claim.outcomes.begin(claim.stretch, 0)
            claim.window[STARTED] = claim.stretch.first
            self.slots.append([claim, claim.stretch.first])

    @precondition(lambda self: self.slots)
    @rule(data=st.data(), steps=st.integers(1, 5))
    def work(self, data, steps):
        """A slot ends some items, beginning the next each time, and hands in when its window ends."""
        slot = data.draw(st.sampled_from(self.slots))
        claim, position = slot
        for _ in range(steps):
            keep(claim.outcomes, position)
            claim.outcomes.stamp(1)
            position += 1
            if position < claim.stretch.stop:
                claim.window[STARTED] = position
            if position >= claim.window[END]:
                was_over = claim.is_over
                assert self.queue.hand_in(claim, position) is not was_over
                self.slots.remove(slot)
                return
        slot[1] = position

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def revoke(self, data):
        """The engine takes back what is unstarted of a lease."""
        self.queue.revoke(data.draw(st.sampled_from(sorted(self.leases))))

    @precondition(lambda self: self.slots)
    @rule(data=st.data())
    def trim(self, data):
        """The watcher shares what waits behind a slow item."""
        self.queue.trim(data.draw(st.sampled_from(self.slots))[0])

    @precondition(lambda self: self.slots)
    @rule(data=st.data())
    def give_up(self, data):
        """The watcher gives up on a slot; its item fails, the rest goes on elsewhere."""
        claim, _ = data.draw(st.sampled_from(self.slots))
        self.queue.give_up(
            claim,
            lambda claim, index: Failure(index, 1, ErrorCode.TIMEOUT_ERROR, "ItemTimeout", "too long"),
            seen=claim.signs_of_life,
        )

    @invariant()
    def nothing_is_lost(self):
        """What nobody leased, nobody runs."""
        assert len(self.queue.running()) <= len(self.slots)

    def teardown(self):
        """Everything still leased can be worked off, exactly once."""
        for claim, begun in list(self.slots):
            if not claim.is_over:
                position = begun
                while position < claim.window[END]:
                    claim.window[STARTED] = position
                    keep(claim.outcomes, position)
                    claim.outcomes.stamp(1)
                    position += 1
                self.queue.hand_in(claim, position)
        while (claim := self.queue.claim(None, 8)) is not None:
            claim.outcomes.begin(claim.stretch, 0)
            for position in range(claim.stretch.first, claim.stretch.stop):
                keep(claim.outcomes, position)
                claim.outcomes.stamp(1)
            self.queue.hand_in(claim, claim.stretch.stop)
        assert not self.leases
        assert not self.queue.is_busy


Machine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestSharedQueue = Machine.TestCase


def test_claims_double_while_quick_and_shrink_to_singles_when_slow():
    """Less than a millisecond: twice as many, up to 256; slow items are claimed one by one."""
    sizes = [1]
    while len(sizes) < 10:
        sizes.append(next_size(sizes[-1], took=100_000, smallest=1))
    assert sizes == [1, 2, 4, 8, 16, 32, 64, 128, 256, 256]
    assert next_size(256, took=2_000_000, smallest=1) == 128
    assert next_size(1, took=10_000_000, smallest=1) == 1
    assert next_size(4, took=10_000_000, smallest=4) == 4


def test_an_item_that_began_after_the_look_is_not_given_up():
    """Who was seen too late is finished by now: the next item of the claim is innocent and goes on."""
    posted = []
    queue = SharedQueue("h", items=ITEMS, clock=lambda: 0.0, max_attempts=1, on_work=lambda count: None)
    queue.open(posted.append)
    queue.add(Lease(1, range(4), 1, float("inf")))
    claim = queue.claim(None, 4)
    claim.outcomes.begin(claim.stretch, 0)
    seen = claim.signs_of_life
    keep(claim.outcomes, 0)
    claim.outcomes.stamp(1)
    claim.window[STARTED], claim.window[SINCE] = 1, 1
    assert not queue.give_up(claim, no_failure, seen=seen)
    assert not claim.is_over
    assert queue.claim(None, 4).stretch.indices == range(2, 4)
    assert posted == []


def no_failure(claim, index):
    raise AssertionError(f"item {index} was charged")


@pytest.mark.parametrize(("drains", "started_later"), [(False, [1, 2, 3]), (True, [])])
def test_gaps_before_the_last_started_item_run_next_unless_everything_drains(drains, started_later):
    """Two slots are at items 0 and 4 when the lease is taken back; a drain starts nothing between them."""
    posted = []
    queue = SharedQueue("h", items=ITEMS, clock=lambda: 0.0, max_attempts=1, on_work=lambda count: None)
    queue.open(posted.append)
    queue.add(Lease(1, range(10), 1, float("inf")))
    claims = [queue.claim(None, 4), queue.claim(None, 4)]
    for claim in claims:
        claim.outcomes.begin(claim.stretch, 0)
    claims[1].window[STARTED] = 4
    queue.revoke(1, drains=drains)
    [shortened] = posted
    assert shortened.kept == 5
    later = []
    while (claim := queue.claim(None, 8)) is not None:
        claim.outcomes.begin(claim.stretch, 0)
        claims.append(claim)
        later += claim.stretch.indices
    for claim in claims:
        for position in range(claim.stretch.first, claim.window[END]):
            keep(claim.outcomes, position)
            claim.outcomes.stamp(1)
        queue.hand_in(claim, claim.window[END])
    assert later == started_later
    done = [index for message in posted[1:] for run in message.block.successes for index in run.indices()]
    assert sorted(done) == sorted([0, 4, *started_later])
    assert isinstance(posted[-1], SliceFinished)


def test_where_outcomes_cannot_be_recovered_nobody_knows_what_was_begun(monkeypatch):
    """They belong to items that were called: under at-most-once the whole lease is in doubt."""
    heard = []
    queue = SharedQueue("h", items=ITEMS, clock=lambda: 0.0, max_attempts=1, on_work=lambda count: None)
    queue.open(heard.append)
    queue.add(Lease(1, (4, 5, 6), 1, float("inf")))
    claim = queue.claim(None, 3)
    claim.outcomes.begin(claim.stretch, 0)
    keep(claim.outcomes, 0)
    claim.outcomes.stamp(1)
    claim.window[STARTED] = 1
    monkeypatch.setattr(claim.queued, "take_block", lambda: 1 // 0)
    queue.lose("over")
    (lost,) = heard
    assert isinstance(lost, HolderLost)
    assert lost.begun is None
