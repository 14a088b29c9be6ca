"""The simulator's workers."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from everyitem.engine.messages import Message
from everyitem.model.errors import ErrorCode
from everyitem.model.outcome import Failure, OutcomeBlock, Successes
from everyitem.ports.node import (
    HolderLost,
    ItemRunsLong,
    Lease,
    OutcomesArrived,
    SliceFinished,
    SliceShortened,
)


class World(Protocol):
    """What a holder needs of the simulation it lives in."""

    now: float
    chance: random.Random
    holders: "dict[str, VirtualHolder]"
    #: Calls of the item processor so far.
    calls: int
    #: Chances that an item fails or kills its worker, and that a message is lost or doubled.
    failing: float
    killer_share: float
    loss: float
    doubling: float
    #: Longest way of a message, in seconds.
    latency: float
    max_attempts: int
    #: No attempt may be called twice.
    at_most_once: bool

    def at(self, when: float, what: Callable[[], object]) -> None: ...

    def called(self, index: int, attempt: int) -> None: ...

    def say(self, text: str) -> None: ...

    def duration(self) -> float: ...

    def deliver(self, message: Message) -> None: ...

    def join(self, node_id: str, slots: int, *, shared: bool) -> None: ...

    def is_last(self, holder: "VirtualHolder") -> bool: ...


@dataclass
class VirtualLease:
    """A lease being worked on."""

    lease: Lease
    started_at: float
    next: int = 0
    end: int = 0
    running: set[int] = field(default_factory=set)
    block: OutcomeBlock = field(default_factory=lambda: OutcomeBlock([], []))


class VirtualHolder:
    """A holder whose items take virtual time and end as chance will have it."""

    def __init__(self, world: World, name: str, node_id: str, slots: int, *, shared: bool) -> None:
        self.world, self.name, self.node_id = world, name, node_id
        self.slots, self.shared = slots, shared
        self.leases: dict[int, VirtualLease] = {}
        self.is_gone = False
        #: Its messages do not arrive any more, though it goes on working.
        self.is_cut_off = False
        self._last_post = 0.0

    def post(self, message: Message) -> None:
        """Deliver in order, after a while, sometimes twice, sometimes not at all."""
        world = self.world
        if self.is_cut_off:
            return
        if world.chance.random() < world.loss:
            self.cut_off()
            return
        self._last_post = max(self._last_post, world.now + world.chance.random() * world.latency)
        world.at(self._last_post, lambda: world.deliver(message))
        if world.chance.random() < world.doubling:
            late = self._last_post + world.chance.random() * world.latency * 10
            world.at(late, lambda: world.deliver(message))

    def cut_off(self) -> None:
        """The connection is gone: the node notices after a while and declares the holder lost."""
        self.is_cut_off = True
        world = self.world
        world.say(f"{self.name} is cut off")
        world.at(world.now + 1.0, lambda: self.die(suspects=False, recovered=False))

    def run(self, lease: Lease) -> None:
        """Take a lease."""
        if not self.is_gone:
            held = VirtualLease(lease, self.world.now, end=len(lease.indices))
            self.leases[lease.lease_id] = held
            self.work()

    def work(self) -> None:
        """Start items while there are slots and unstarted positions."""
        for held in list(self.leases.values()):
            if not self.shared and self.world.now - held.started_at > held.lease.budget:
                held.end = held.next
            busy = sum(len(other.running) for other in self.leases.values())
            while busy < self.slots and held.next < held.end:
                self._start(held, held.next)
                held.next += 1
                busy += 1
            self._finish_if_done(held)

    def _start(self, held: VirtualLease, position: int) -> None:
        held.running.add(position)
        world = self.world
        duration = world.duration()
        world.calls += 1
        world.called(held.lease.indices[position], held.lease.attempt)
        if duration > 0.02 and not self.shared:
            world.at(world.now + 0.02, partial(self._say_it_runs_long, held, position))
        world.at(world.now + duration, lambda: self._done(held, position, duration))

    def _say_it_runs_long(self, held: VirtualLease, position: int) -> None:
        if self._is_working(held, position):
            self.post(ItemRunsLong(self.world.now, self.name, held.lease.lease_id))

    def _is_working(self, held: VirtualLease, position: int) -> bool:
        return not self.is_gone and position in held.running and held.lease.lease_id in self.leases

    def _done(self, held: VirtualLease, position: int, duration: float) -> None:
        if not self._is_working(held, position):
            return
        world = self.world
        index = held.lease.indices[position]
        if world.chance.random() < world.killer_share and not self.shared:
            self.die(suspects=True, recovered=True)
            return
        held.running.discard(position)
        kind = world.chance.random()
        micros = int(duration * 1e6)
        if kind < world.failing:
            later = 0.01 if kind < world.failing * 0.1 else None
            permanent = kind > world.failing * 0.9
            held.block.failures.append(
                Failure(
                    index,
                    held.lease.attempt,
                    ErrorCode.ITEM_ERROR,
                    "Boom",
                    "boom",
                    duration_us=micros,
                    permanent=permanent,
                    retry_after=None if world.at_most_once else later,
                )
            )
            last = permanent or (
                (later is None or world.at_most_once) and held.lease.attempt >= world.max_attempts
            )
            if held.lease.until_failure and last:
                held.end = held.next
        else:
            held.block.successes.append(
                Successes([(index, 1)], held.lease.attempt, [micros], b"[%d]" % index)
            )
        if world.chance.random() < 0.3:
            self._flush(held)
        self.work()

    def _flush(self, held: VirtualLease) -> None:
        if len(held.block):
            self.post(OutcomesArrived(self.world.now, self.name, held.lease.lease_id, held.block))
            held.block = OutcomeBlock([], [])

    def _finish_if_done(self, held: VirtualLease) -> None:
        if held.next >= held.end and not held.running and held.lease.lease_id in self.leases:
            del self.leases[held.lease.lease_id]
            self.post(SliceFinished(self.world.now, self.name, held.lease.lease_id, held.block))

    def revoke(self, lease_id: int) -> None:
        """Give back what is unstarted."""
        held = self.leases.get(lease_id)
        if held is None:
            return
        held.end = min(held.end, held.next)
        self.post(SliceShortened(self.world.now, self.name, lease_id, held.end))
        self.work()

    def die(self, *, suspects: bool, recovered: bool, replaced: bool | None = None) -> None:
        """End: what had finished may be recovered, one running item may be charged."""
        if self.is_gone:
            return
        self.is_gone = True
        world = self.world
        world.say(f"{self.name} dies")
        block = OutcomeBlock([], [])
        isolate: list[int] = []
        begun: list[int] = []
        for held in self.leases.values():
            begun += [held.lease.indices[position] for position in held.running]
            if not suspects and not self.shared and world.chance.random() < 0.3:
                # it was on a chunk: any of these may have done it
                isolate += [held.lease.indices[position] for position in held.running]
            if recovered:
                block.successes += held.block.successes
                block.failures += held.block.failures
            if suspects and held.running:
                index = held.lease.indices[min(held.running)]
                block.failures.append(
                    Failure(
                        index, held.lease.attempt, ErrorCode.SYSTEM_ERROR, "WorkerDied", "killed", alone=True
                    )
                )
                suspects = False
        if replaced is None:
            replaced = world.chance.random() < 0.9 or world.is_last(self)
        world.holders.pop(self.name, None)
        can_tell = recovered and not self.is_cut_off
        self.is_cut_off = False
        message = HolderLost(
            world.now,
            self.name,
            block,
            "died",
            isolate=tuple(isolate),
            replaced=replaced,
            # what had ended and was not recovered, or was said to nobody, was begun as well
            begun=tuple(begun) if can_tell else None,
        )
        # behind everything it said before
        when = max(self._last_post, world.now)
        world.at(when, lambda: world.deliver(message))
        if replaced:
            world.at(when + 0.05, lambda: world.join(self.node_id, self.slots, shared=self.shared))
