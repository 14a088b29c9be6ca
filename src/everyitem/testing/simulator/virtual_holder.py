"""The simulator's workers."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from everyitem.engine.messages import Message
from everyitem.model.errors import ErrorCode
from everyitem.model.outcome import UNREACHABLE, Failure, OutcomeBlock, Successes
from everyitem.ports.node import (
    HolderJoined,
    HolderLost,
    ItemRunsLong,
    Lease,
    OutcomesArrived,
    SliceFinished,
    SliceShortened,
)
from everyitem.testing.simulator.day import Day, Kind
from everyitem.testing.simulator.failed import SimulationFailed
from everyitem.testing.simulator.virtual_store import VirtualStore
from everyitem.testing.simulator.witness import Witness

#: The words in which items tell of one and the same outage.
_WORDS = ("ConnectionRefusedError", "RemoteDisconnected", "ConnectTimeout")


class Home(Protocol):
    """What a holder needs of the coordinator it works for."""

    chance: random.Random
    day: Day
    witness: Witness
    store: VirtualStore
    holders: "dict[str, VirtualHolder]"

    @property
    def now(self) -> float: ...

    @property
    def round(self) -> int: ...

    @property
    def is_refused(self) -> bool: ...

    def at(self, when: float, what: Callable[[], object]) -> None: ...

    def say(self, text: str) -> None: ...

    def deliver(self, message: Message) -> None: ...

    def join(self, node_id: str, slots: int, *, shared: bool) -> None: ...

    def promises(self, index: int, attempt: int, what: Kind, delay: float) -> None: ...


@dataclass
class VirtualLease:
    """A lease being worked on."""

    lease: Lease
    started_at: float
    next: int = 0
    end: int = 0
    running: set[int] = field(default_factory=set)
    block: OutcomeBlock = field(default_factory=lambda: OutcomeBlock([], []))
    #: It is over: nobody will ever hear of that, or the engine has.
    is_lost: bool = False
    is_heard: bool = False


class VirtualHolder:
    """A holder whose items take virtual time and do what their fate says."""

    def __init__(self, home: Home, name: str, node_id: str, slots: int, *, shared: bool) -> None:
        self.home, self.name, self.node_id = home, name, node_id
        self.slots, self.shared = slots, shared
        self.leases: dict[int, VirtualLease] = {}
        self.is_gone = False
        #: Its messages do not arrive any more, though it goes on working.
        self.is_cut_off = False
        #: The engine was told that it is there.
        self._is_known = False
        self._calls = 0
        self._last_post = 0.0
        #: Leases that are over.
        self._over: list[VirtualLease] = []
        #: The item and attempt its death is to be charged to, until that is told.
        self._last_words: tuple[int, int] | None = None

    # -- messages -----------------------------------------------------------------------------------

    def post(self, message: Message, *, ends: VirtualLease | None = None) -> None:
        """Deliver in order, after a while, sometimes twice, sometimes not at all.

        `ends`: the lease the message ends.
        """
        home, day, chance = self.home, self.home.day, self.home.chance
        if self.is_cut_off:
            return
        if day.loss and chance.random() < day.loss:
            self._cut_off()
            return
        self._last_post = max(self._last_post, home.now + chance.random() * day.latency)
        home.at(self._last_post, partial(self._arrive, message, ends))
        if day.doubling and chance.random() < day.doubling:
            late = self._last_post + chance.random() * day.latency * 10
            home.at(late, partial(home.deliver, message))

    def _arrive(self, message: Message, ends: VirtualLease | None) -> None:
        self._is_known = self._is_known or isinstance(message, HolderJoined)
        if ends is not None:
            ends.is_heard = True
        self.home.deliver(message)

    def _cut_off(self) -> None:
        """The connection is gone: the node notices after a while and declares the holder lost."""
        self.is_cut_off = True
        self.home.say(f"{self.name} is cut off")
        self.home.at(self.home.now + 1.0, partial(self.die, recovered=False))

    # -- working ------------------------------------------------------------------------------------

    def run(self, lease: Lease) -> None:
        """Take a lease."""
        if not self.is_gone:
            self.leases[lease.lease_id] = VirtualLease(lease, self.home.now, end=len(lease.indices))
            self.work()

    def work(self) -> None:
        """Start calls while there are slots and unstarted positions."""
        for held in list(self.leases.values()):
            if not self.shared and self.home.now - held.started_at > held.lease.budget:
                held.end = min(held.end, held.next)
            while self._calls < self.slots and held.next < held.end:
                self._start(held)
            self._finish_if_done(held)

    def _start(self, held: VirtualLease) -> None:
        home, lease = self.home, held.lease
        call = range(held.next, min(held.end, held.next + home.day.unit))
        held.next = call.stop
        held.running.update(call)
        self._calls += 1
        for position in call:
            index = lease.indices[position]
            pending = home.store.pending.get(index)
            home.witness.starts(
                home,
                lease,
                index,
                on_disk=pending.attempts if pending else 0,
                intent=home.store.intents.on_disk.get(index),
                alone=len(lease.indices) == 1,
                deferral=home.store.deferrals.on_disk.get(index),
            )
        duration = self._duration()
        if duration > 0.02 and not self.shared:
            home.at(home.now + 0.02, partial(self._say_it_runs_long, held, call))
        home.at(home.now + duration, partial(self._done, held, call, duration))

    def _duration(self) -> float:
        chance, day = self.home.chance, self.home.day
        if day.slow_share and chance.random() < day.slow_share:
            return chance.uniform(0.05, 0.5)
        return chance.uniform(0.0001, 0.005)

    def _say_it_runs_long(self, held: VirtualLease, call: range) -> None:
        if self._is_at(held, call):
            self.post(ItemRunsLong(self.home.now, self.name, held.lease.lease_id))

    def _is_at(self, held: VirtualLease, call: range) -> bool:
        return not self.is_gone and call.start in held.running and held.lease.lease_id in self.leases

    def _done(self, held: VirtualLease, call: range, duration: float) -> None:
        if not self._is_at(held, call):
            return
        home, lease = self.home, held.lease
        whats = [self._what(lease, position) for position in call]
        if not self.shared and (lethal := {Kind.KILLS, Kind.HANGS}.intersection(whats)):
            self._killed(held, call, min(lethal))
            return
        self._calls -= 1
        micros = int(duration * 1e6) // len(call)
        for position, what in zip(call, whats, strict=True):
            held.running.discard(position)
            home.witness.answered(home, lease.indices[position], lease.attempt)
            self._note_outcome(held, position, what, micros)
        if home.chance.random() < 0.3:
            self._flush(held)
        self.work()

    def _what(self, lease: Lease, position: int) -> Kind:
        index = lease.indices[position]
        what = self.home.day.fates[index].at(lease.attempt, self.home.witness.round)
        if self.home.is_refused and what not in (Kind.KILLS, Kind.HANGS):
            return Kind.REFUSED
        if what is Kind.LATER and not self.home.witness.asks_again(index):
            return Kind.GOOD
        return what

    def _note_outcome(self, held: VirtualLease, position: int, what: Kind, micros: int) -> None:
        lease, home = held.lease, self.home
        index = lease.indices[position]
        promise = home.day.promise(index, lease.attempt, what)
        if promise is not None:
            failure = Failure(index, lease.attempt, ErrorCode.ITEM_ERROR, "Deferred", "", duration_us=micros)
            failure.deferred = promise.timeout
            held.block.failures.append(failure)
            if promise.delay is not None:
                home.promises(index, lease.attempt, what, promise.delay)
            return
        if what is Kind.GOOD:
            held.block.successes.append(Successes([(index, 1)], lease.attempt, [micros], b"[%d]" % index))
            return
        again = what is Kind.LATER
        kind = _type_of(what, index, lease.attempt)
        failure = Failure(index, lease.attempt, ErrorCode.ITEM_ERROR, kind, "boom", duration_us=micros)
        failure.permanent = what is Kind.PERMANENT
        failure.retry_after = 0.01 if again else None
        failure.innate = what is not Kind.REFUSED
        held.block.failures.append(failure)
        if again:
            home.witness.asked_again(home, index, lease.attempt)
        if what is Kind.REFUSED:
            failure.family = UNREACHABLE
            home.witness.refused(home, index, lease.attempt)
        is_last = failure.permanent or (not again and lease.attempt >= home.day.max_attempts)
        if lease.until_failure and is_last:
            # nothing starts before the engine has heard of it
            for other in self.leases.values():
                other.end = min(other.end, other.next)

    def _flush(self, held: VirtualLease) -> None:
        if len(held.block):
            self.post(OutcomesArrived(self.home.now, self.name, held.lease.lease_id, held.block))
            held.block = OutcomeBlock([], [])

    def _finish_if_done(self, held: VirtualLease) -> None:
        if held.next >= held.end and not held.running and held.lease.lease_id in self.leases:
            del self.leases[held.lease.lease_id]
            self.post(SliceFinished(self.home.now, self.name, held.lease.lease_id, held.block), ends=held)
            held.is_lost = self.is_cut_off
            self._over.append(held)

    def resize(self, slots: int) -> None:
        """Begin no more than so many calls at a time; what runs goes on."""
        self.slots = slots
        self.work()

    def revoke(self, lease_id: int) -> None:
        """Give back what is unstarted."""
        held = self.leases.get(lease_id)
        if held is None:
            return
        if self.home.day.at_most_once and not self.shared:
            raise SimulationFailed("work is taken back from a worker that may start it at this very moment")
        held.end = min(held.end, held.next)
        self.post(SliceShortened(self.home.now, self.name, lease_id, held.end))
        self.work()

    # -- dying --------------------------------------------------------------------------------------

    def _killed(self, held: VirtualLease, call: range, by: Kind) -> None:
        """A call has killed its worker or hung: its one item is charged, of several each is suspect."""
        indices = tuple(held.lease.indices[position] for position in call)
        if len(indices) > 1:
            self.die(isolate=indices)
            return
        attempt = held.lease.attempt
        charge = Failure(indices[0], attempt, ErrorCode.SYSTEM_ERROR, "WorkerDied", "killed", alone=True)
        if by is Kind.HANGS:
            charge.code, charge.type, charge.alone = ErrorCode.TIMEOUT_ERROR, "ItemTimeout", False
        else:
            self.home.witness.charge(self.home, indices[0], attempt)
            self._last_words = indices[0], attempt
        self.die(charge=charge)

    def is_killed(self) -> None:
        """Somebody kills the worker; where that can be told, the item it was on is charged."""
        running = [(held, position) for held in self.leases.values() for position in sorted(held.running)]
        if self.shared or not running or self.home.chance.random() < 0.5:
            self.die()
            return
        held, position = running[0]
        if len(held.running) == 1:
            self.home.witness.unlucky.add((self.home.witness.round, held.lease.indices[position]))
        self._killed(held, range(position, position + len(held.running)), Kind.KILLS)

    def die(
        self,
        *,
        charge: Failure | None = None,
        isolate: tuple[int, ...] = (),
        recovered: bool = True,
        replaced: bool | None = None,
    ) -> None:
        """End: what had finished may be recovered, one running item may be charged, several suspected."""
        if self.is_gone:
            return
        home = self.home
        home.say(f"{self.name} dies" + (f" of item {charge.index}" if charge else ""))
        block = OutcomeBlock([], [])
        self._abandon_all()
        begun: list[int] = []
        for held in self.leases.values():
            begun += [held.lease.indices[position] for position in sorted(held.running)]
            if recovered:
                block.successes += held.block.successes
                block.failures += held.block.failures
        if charge:
            block.failures.append(charge)
        self.is_gone = True
        if replaced is None:
            is_last = len(home.holders) <= 1
            # a node that knows of a worker nobody was told of starts another one, or says that it failed
            replaced = home.chance.random() < 0.9 or is_last or not self._is_known
        home.holders.pop(self.name, None)
        can_tell = recovered and not self.is_cut_off
        self.is_cut_off = False
        message = HolderLost(
            home.now,
            self.name,
            block,
            "died",
            isolate=isolate,
            replaced=replaced,
            # what had ended and was not recovered, or was said to nobody, was begun as well
            begun=tuple(begun) if can_tell else None,
        )
        # behind everything it said before
        when = max(self._last_post, home.now)
        home.at(when, partial(self._tell_death, message))
        if replaced:
            home.at(when + 0.05, partial(home.join, self.node_id, self.slots, shared=self.shared))

    def _tell_death(self, message: HolderLost) -> None:
        self._last_words = None
        self.home.deliver(message)

    def vanish(self) -> None:
        """Be gone without a word, or without the last words of one that has died."""
        # a process that was stopped finds what came meanwhile in the order it came: posted is not yet heard
        for held in self._over:
            held.is_lost = not held.is_heard
        if self.is_gone:
            self._abandon_over()
            if self._last_words is not None:
                self.home.witness.uncharge(*self._last_words)
            return
        self.is_gone = True
        self._abandon_all()
        self.home.holders.pop(self.name, None)

    def _abandon_all(self) -> None:
        """What the engine has not heard and never will is lost, finished or not."""
        for held in self.leases.values():
            self._abandon(held)
        self._abandon_over()

    def _abandon_over(self) -> None:
        for held in self._over:
            if held.is_lost:
                self._abandon(held)

    def _abandon(self, held: VirtualLease) -> None:
        for position in range(held.next):
            index = held.lease.indices[position]
            if position in held.running:
                self.home.witness.ends(self.home, index)
            self.home.witness.excuse(self.home, index, held.lease.attempt)


def _type_of(what: Kind, index: int, attempt: int) -> str:
    """The class of what an item raises; an outage's changes from item to item, and from call to call."""
    if what is Kind.REFUSED:
        return _WORDS[(index + attempt) % len(_WORDS)]
    return "UnusableResult" if what is Kind.UNUSABLE else "Boom"
