"""Memory-hungry work finds its level: what holds whatever items take, wherever it begins."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from everyitem.adapters.nodes.memory_policy import (
    END_AT,
    FULL_AT,
    GROW_AFTER,
    PAUSE_AT,
    Measure,
    MemoryPolicy,
    Sight,
)

#: Seconds of an item, and between two looks.
ITEM, LOOK = 0.25, 0.125


@dataclass
class Hungry:
    """Items that take the same each, all at once, on a node of `slots` workers; parts of the limit."""

    base: float
    need: float
    slots: int

    def pressure(self, busy: int) -> float:
        return self.base + busy * self.need

    @property
    def best(self) -> int:
        """The most that may run at a time for ever; all, where nothing is short with all of them."""
        if self.pressure(self.slots) < PAUSE_AT:
            return self.slots
        return max(1, int((FULL_AT - self.base) / self.need))

    def play(self, seconds: float) -> list[tuple[float, Measure, int]]:
        """When something was done about memory, what, and how many might run from then on."""
        policy, done, busy = MemoryPolicy(self.slots), [], self.slots
        for step in range(int(seconds / LOOK)):
            at = step * LOOK
            if step % int(ITEM / LOOK) == 0:
                # all items of the last round are over, and new ones have begun
                busy = policy.intake
            if policy.is_paused:
                busy = 0
            measure = policy.observe(
                at, Sight(pressure=self.pressure(busy), running=busy, busy=busy, base=self.base)
            )
            if measure is not Measure.HOLD:
                done.append((at, measure, policy.parallelism))
        return done


hungry = st.builds(Hungry, base=st.floats(0.0, 0.5), need=st.floats(0.005, 0.29), slots=st.integers(2, 64))


@given(work=hungry.filter(lambda work: work.pressure(work.slots) < END_AT))
def test_one_pause_is_enough_where_no_item_had_to_be_ended(work: Hungry) -> None:
    """What the first items take is what the next ones will: the best number is known at once, and kept."""
    done = work.play(20.0)
    assert [measure for _, measure, _ in done] in ([], [Measure.PAUSE, Measure.SHRINK])
    assert done[-1][2] == work.best if done else work.best == work.slots
    assert all(at <= ITEM for at, _, _ in done)


@given(work=hungry)
def test_what_was_given_up_too_much_is_given_back(work: Hungry) -> None:
    """Where items had to be ended half as many run at first; in the end it is the best number again."""
    done = work.play(GROW_AFTER * (work.slots + 2))
    assert not done or work.pressure(done[-1][2] + 1) > FULL_AT - 1e-9 or done[-1][2] == work.slots
    assert [measure for _, measure, _ in done].count(Measure.END) <= work.slots.bit_length()


@given(work=hungry, begun=st.integers(1, 32))
def test_growing_ends_no_item(work: Hungry, begun: int) -> None:
    """However many slots the node is to use, no more are tried than there is room for, as far as is known."""
    begun = min(begun, work.best)
    policy = MemoryPolicy(begun)
    policy.observe(0.0, Sight(pressure=work.pressure(begun), running=begun, busy=begun, base=work.base))
    for slots in (2 * begun, 4 * begun, 64):
        policy.resize(slots)
    assert work.pressure(policy.intake) < PAUSE_AT or policy.intake == begun
