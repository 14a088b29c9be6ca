"""One relay at a time, for as long as a receiver takes: on a clock that is told what time it is."""

from typing import Any

import pytest

from everyitem.engine.relay.tenure import HUNG, LEASE, LOOK, RENEW, Tenure
from everyitem.model.errors import StoreError


class World:
    """The claims of one store, and the time."""

    def __init__(self) -> None:
        self.now, self.holder, self.until = 100.0, "", 0.0
        self.is_away = False
        self.claims = 0

    def claim(self, holder: str, seconds: float) -> bool:
        if self.is_away:
            raise StoreError("away")
        self.claims += 1
        if holder != self.holder and self.now < self.until:
            return False
        self.holder, self.until = holder, self.now + seconds
        return True

    def give_back(self, holder: str) -> None:
        if holder == self.holder:
            self.holder = ""
            self.until = 0.0

    def close(self) -> None:
        """There is nothing to close."""

    def tenure(self) -> Tenure:
        outlet: Any = self
        return Tenure(lambda: outlet, clock=lambda: self.now)


def step(world: World, one: Tenure, rival: Tenure, *, seconds: float, looks: bool = True) -> float | None:
    """Seconds after which a rival got in while one was at a step for so long; None if it never did."""
    outlet: Any = world
    began = world.now
    assert one.holds(outlet)
    with one.step():
        while world.now < began + seconds:
            world.now += LOOK
            if looks:
                one.look()
            if rival.holds(outlet):
                return world.now - began
    return None


def test_a_slow_receiver_hears_one_relay() -> None:
    """However much longer than the lease it takes for one event."""
    world = World()
    assert step(world, world.tenure(), world.tenure(), seconds=50 * LEASE) is None


def test_without_looks_another_one_would_get_in() -> None:
    """So the looks are what keeps it out."""
    world = World()
    assert step(world, world.tenure(), world.tenure(), seconds=50 * LEASE, looks=False) == LEASE


def test_a_step_that_hangs_is_given_up() -> None:
    """Its events are not held for ever: another one publishes them, under the same ids."""
    world = World()
    after = step(world, world.tenure(), world.tenure(), seconds=10 * HUNG)
    assert after is not None
    assert HUNG <= after <= HUNG + LEASE


def test_nobody_renews_between_steps() -> None:
    """The relay does so itself when it goes on; one that does not is replaced."""
    world = World()
    one, rival, outlet = world.tenure(), world.tenure(), world
    assert step(world, one, rival, seconds=RENEW) is None
    world.now += LEASE
    one.look()
    assert rival.holds(outlet)  # type: ignore[arg-type]
    assert not one.holds(outlet)  # type: ignore[arg-type]


def test_a_step_notices_that_another_one_took_over() -> None:
    """A process that was stopped for longer than its lease: nothing more is handed over after that step."""
    world = World()
    one, rival = world.tenure(), world.tenure()
    assert step(world, one, rival, seconds=2 * LEASE, looks=False) == LEASE
    one.look()
    assert not one.holds(world)  # type: ignore[arg-type]


def test_what_was_read_before_a_lease_ran_out_is_read_again() -> None:
    """Another one may have come, published and gone, and the order of the events with it."""
    world = World()
    one, rival = world.tenure(), world.tenure()
    assert one.holds(world)  # type: ignore[arg-type]
    reign = one.reign
    world.now += LEASE - LOOK
    assert one.holds(world)  # type: ignore[arg-type]
    assert one.reign == reign
    world.now += LEASE
    assert rival.holds(world)  # type: ignore[arg-type]
    rival.give_back(world)  # type: ignore[arg-type]
    assert one.holds(world)  # type: ignore[arg-type]
    assert one.reign != reign


def test_quick_steps_claim_no_more_often_than_needed() -> None:
    """A claim is a write: once every two seconds, whatever the receiver takes."""
    world = World()
    one, outlet = world.tenure(), world
    for _ in range(1000):
        assert one.holds(outlet)  # type: ignore[arg-type]
        with one.step():
            one.look()
        world.now += RENEW / 100
    assert world.claims <= 11


def test_a_claim_is_given_back_at_the_end() -> None:
    """The next one need not wait."""
    world = World()
    one, rival = world.tenure(), world.tenure()
    assert step(world, one, rival, seconds=3 * LEASE) is None
    one.give_back(world)  # type: ignore[arg-type]
    assert rival.holds(world)  # type: ignore[arg-type]


def test_a_store_that_was_away_is_asked_again() -> None:
    """As long as the lease has not run out, nothing is lost by it."""
    world = World()
    one, rival = world.tenure(), world.tenure()
    assert one.holds(world)  # type: ignore[arg-type]
    with one.step():
        world.now += RENEW
        world.is_away = True
        with pytest.raises(StoreError):
            one.look()
        world.is_away = False
        one.look()
        world.now += LEASE - LOOK
        assert not rival.holds(world)  # type: ignore[arg-type]
