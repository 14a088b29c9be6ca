"""One seeded day: a world of processes, one store, two clocks, and trouble."""

import heapq
import random
from collections.abc import Callable
from functools import partial

from everyitem.engine.messages import (
    CancelAsked,
    Message,
    PauseAsked,
    ResourcesAllocated,
    ResumeAsked,
    SettleAsked,
    SlotsGranted,
    StopAsked,
)
from everyitem.engine.settling import settle_at_rest
from everyitem.model.errors import StoreError
from everyitem.model.items import InMemoryItems
from everyitem.model.resources import AllocatedResources, NodeKind, NodeSpec
from everyitem.ports.doubt import Decision, Settlement
from everyitem.ports.node import NodeFailed
from everyitem.testing.simulator.coordinator import Coordinator
from everyitem.testing.simulator.day import Day, Kind
from everyitem.testing.simulator.failed import SimulationFailed
from everyitem.testing.simulator.person import Person
from everyitem.testing.simulator.virtual_store import VirtualStore
from everyitem.testing.simulator.witness import Witness

#: Share of the runs in which other nodes are allocated.
_REALLOCATED = 0.2
#: Epoch seconds at which every day begins.
_EPOCH = 1_700_000_000.0


class Simulation:
    """One seeded day: `run()` returns when the batch is complete and everybody has gone, or raises."""

    MAX_EVENTS = 200_000
    MAX_RUNS = 400
    #: After so many runs the world is kind, so that the day comes to an end.
    BAD_RUNS = 8

    def __init__(self, seed: int, *, in_detail: bool = False) -> None:
        """`in_detail`: the story has every message and command, too."""
        self.seed = seed
        self.in_detail = in_detail
        self.chance = random.Random(seed)
        #: Of their own, so that a seed tells the story it told before there were allocations and deferrals.
        self._allocations = random.Random(f"allocations {seed}")
        self._version = 0
        self._deferrals = random.Random(f"deferrals {seed}")
        self._outside = random.Random(f"outside {seed}")
        self.day = day = Day(self.chance, self._deferrals, self._outside)
        self.now = 0.0
        self.story: list[str] = []
        self.items = InMemoryItems(
            b"[" + b",".join([b"%d" % n for n in range(day.items)]) + b"]", named=False
        )
        self.witness = Witness(day)
        self.store = VirtualStore(self)
        #: (when it happens, when it was meant to, number, to whom, what).
        self._events: list[tuple[float, float, int, Coordinator | None, Callable[[], object]]] = []
        self._number = self._names = self._runs = 0
        self._processes: list[Coordinator] = []
        self._is_over = False
        self._wall_offset = _EPOCH
        self._away_until = self._refused_until = self.clock_set_at = 0.0

    # -- the world ----------------------------------------------------------------------------------

    @property
    def wall(self) -> float:
        """Epoch seconds, by the clock that is set now and then."""
        return self._wall_offset + self.now

    @property
    def is_store_away(self) -> bool:
        """Whether nobody can reach the store now."""
        return self.now < self._away_until

    @property
    def is_refused(self) -> bool:
        """Whether what items depend on is out of reach now."""
        return self.now < self._refused_until

    @property
    def is_calm(self) -> bool:
        """Whether trouble is over."""
        return self._runs > self.BAD_RUNS

    def say(self, text: str) -> None:
        """Add a line to the story."""
        self.story.append(f"{self.now:9.4f} {text}")

    def schedule(self, process: Coordinator | None, when: float, what: Callable[[], object]) -> None:
        """Let something happen, to a process unless it is dead by then, or to the world."""
        self._number += 1
        when = max(when, self.now)
        heapq.heappush(self._events, (when, when, self._number, process, what))

    def run(self) -> VirtualStore:
        """Live through the day; returns the store.

        Raises `SimulationFailed` with the end of the story; all of it is in `story`.
        """
        self.say(str(self.day))
        try:
            self.schedule(None, 0.0, self._operate)
            self._let_time_pass()
            self.store.check_end()
        except AssertionError as error:
            self.say(f"BROKEN: {error}")
            tail = "\n".join(self.story[-40:])
            raise SimulationFailed(str(error), story=f"seed {self.seed}:\n{tail}") from error
        return self.store

    def _let_time_pass(self) -> None:
        for _ in range(self.MAX_EVENTS):
            if self._is_over:
                return
            if not self._events:
                raise SimulationFailed("nothing happens any more, but the batch is not complete")
            when, meant, number, process, what = heapq.heappop(self._events)
            if process is not None:
                if process.is_dead:
                    continue
                if when < process.frozen_until:
                    # who wakes up finds everything in the order it came
                    heapq.heappush(self._events, (process.frozen_until, meant, number, process, what))
                    continue
            self.now = max(self.now, when)
            what()
        raise SimulationFailed("the day does not end")

    # -- who runs the batch -------------------------------------------------------------------------

    def _operate(self) -> None:
        """Whoever operates the batch starts it, again where it has ended early, and redrives what failed."""
        if self._processes:
            return
        if self._runs > self.MAX_RUNS:
            raise SimulationFailed("the batch never ends, however often it is resumed")
        store = self.store
        if not store.status.is_finished:
            self._settle_at_rest()
            self._start()
            if self.chance.random() < self.day.doubles:
                self.schedule(None, self.now + self.chance.random() * 0.5, self._start)
            return
        failed = [index for index, mark in enumerate(store.marks) if mark == 2]
        if failed and store.round < self.day.rounds:
            self._start(redrive=failed[:: self.chance.choice([1, 2])])
        else:
            self._is_over = True

    def _start(self, redrive: list[int] | None = None) -> None:
        self._names += 1
        here = self.day.one_host
        process = Coordinator(self, f"p{self._names}", here=here, redrive=redrive or ())
        self._processes.append(process)
        self.schedule(process, self.now, process.look)

    def has_ended(self, coordinator: Coordinator) -> None:
        """A process has gone."""
        self._processes.remove(coordinator)
        if not self._processes:
            self.schedule(None, self.now + self.chance.choice([0.0, 0.1, 20.0]), self._operate)

    def has_begun(self, coordinator: Coordinator) -> None:
        """A run begins; here is what will happen to it. Less, the longer it takes."""
        self._runs += 1
        chance, day = self.chance, self.day
        span = 0.02 + day.items * 0.003
        if chance.random() < 0.3:
            start = self.now + chance.random() * span
            rest = chance.random() * chance.choice([1.0, 5.0])
            coordinator.at(start, lambda: coordinator.deliver(PauseAsked(self.now)))
            coordinator.at(start + rest, lambda: coordinator.deliver(ResumeAsked(self.now)))
        for _ in range(chance.choice([0, 0, 1, 4])):
            coordinator.at(self.now + chance.random() * span, partial(self._grant, coordinator))
        if self._allocations.random() < _REALLOCATED:
            for _ in range(self._allocations.choice([1, 3])):
                when = self.now + self._allocations.random() * span
                coordinator.at(when, partial(self._allocate, coordinator))
        if day.at_most_once:
            for _ in range(chance.choice([0, 1, 3])):
                coordinator.at(self.now + chance.random() * span, partial(self._settle, coordinator))
        if self.is_calm:
            return

        def some_time(likely: float, what: Callable[[], object], *, world: bool = False) -> None:
            if chance.random() < likely:
                self.schedule(None if world else coordinator, self.now + chance.random() * span, what)

        some_time(day.crashes, partial(self._crash, coordinator))
        some_time(day.freezes, partial(self._freeze, coordinator))
        some_time(0.2, partial(self._ask_to_end, coordinator))
        some_time(day.outages, self._lose_store, world=True)
        some_time(0.1, partial(self._lose_node, coordinator))
        for _ in range(chance.choice([0, 0, 1, 5])):
            some_time(1.0, partial(self._kill_somebody, coordinator))
        if self._outside.random() < day.refusals:
            self.schedule(None, self.now + self._outside.random() * span, self._refuse)
        for _ in range(day.clock_steps):
            some_time(0.5, self._step_clock, world=True)

    # -- items in doubt -----------------------------------------------------------------------------

    def _settle_at_rest(self) -> None:
        """Somebody decides about some items in doubt where nobody runs, in one transaction each."""
        for index in sorted(self.store.intents.on_disk):
            if self.chance.random() < 0.5:
                continue
            said = self._decide(index)
            person = Person(here=self.day.one_host)
            try:
                ownership = self.store.claim(person)
                if ownership is not None:
                    settle_at_rest(ownership, self.store.find(), self.store.recorded(), self.items, said)
                    ownership.release()
            except StoreError as error:
                self.say(f"{person.name} cannot: {error}")
            person.is_dead = True

    def _settle(self, coordinator: Coordinator) -> None:
        """Somebody decides about the items that are in doubt while the batch is carried out."""
        for intent in list(self.store.intents.on_disk.values()):
            if intent.doubt:
                coordinator.deliver(SettleAsked(self.now, self._decide(intent.index)))

    def _decide(self, index: int) -> Settlement:
        decision = self.chance.choice(list(Decision))
        self.say(f"a person settles item {index}: {decision}")
        return Settlement(index, decision, "a person", self.wall, result=b"%d" % index)

    def _grant(self, coordinator: Coordinator) -> None:
        slots = self.chance.choice([1, 2, 3, 20])
        coordinator.say(f"is granted {slots} slots")
        coordinator.deliver(SlotsGranted(self.now, slots))

    def _allocate(self, coordinator: Coordinator) -> None:
        """Other nodes are allocated: some of those there are, with other slots, and new ones."""
        chance = self._allocations
        self._version += chance.choice([0, 1, 1, 2])
        nodes = tuple(
            NodeSpec(
                node_id=node_id,
                kind=chance.choice([NodeKind.THREAD, NodeKind.PROCESS]),
                slots=chance.choice([1, 2, 5]),
            )
            for node_id in chance.sample(["n0", "n1", "n2", "spare", "new"], chance.choice([1, 2, 4]))
        )
        coordinator.say(f"is allocated {[(node.node_id, node.slots) for node in nodes]}")
        resources = AllocatedResources(nodes=nodes)
        coordinator.deliver(ResourcesAllocated(self.now, self._version, resources))

    # -- events about deferred items ----------------------------------------------------------------

    def promises(self, round_: int, index: int, attempt: int, what: Kind, delay: float) -> None:
        """Somebody will tell what became of an item, now and then more than once."""
        tell = partial(self._tell, round_, index, attempt, what)
        self.schedule(None, self.now + delay, tell)
        if self._deferrals.random() < 0.2:
            self.schedule(None, self.now + delay + self._deferrals.random(), tell)

    def _tell(self, round_: int, index: int, attempt: int, what: Kind) -> None:
        if self.store.round != round_ or self.store.status.is_finished:
            # a word belongs to the round it comes in, and nothing takes in any about what has ended
            return
        if self.is_store_away:
            self.schedule(None, self.now + 0.5, partial(self._tell, round_, index, attempt, what))
            return
        found = self.store.deferrals.hear(index, attempt, what)
        self.say(f"an event about attempt {attempt} of item {index} comes {found}: {what}")

    # -- trouble ------------------------------------------------------------------------------------

    def _crash(self, coordinator: Coordinator) -> None:
        coordinator.say("crashes")
        coordinator.die()

    def _freeze(self, coordinator: Coordinator) -> None:
        coordinator.freeze()
        if len(self._processes) == 1:
            self._start()

    def _ask_to_end(self, coordinator: Coordinator) -> None:
        requests: list[Message] = [
            CancelAsked(self.now),
            StopAsked(self.now, "SIGTERM"),
            StopAsked(self.now, "SIGTERM", at_once=True),
        ]
        request = self.chance.choice(requests)
        coordinator.say(f"is asked: {type(request).__name__}")
        coordinator.deliver(request)

    def _lose_store(self) -> None:
        seconds = self.chance.choice([0.1, 1.0, 5.0])
        self.say(f"the store is out of reach for {seconds:g} s")
        self._away_until = self.now + seconds

    def _refuse(self) -> None:
        seconds = self._outside.choice([0.02, 0.5, 3.0])
        self.say(f"what items depend on is out of reach for {seconds:g} s")
        self._refused_until = self.now + seconds

    def _lose_node(self, coordinator: Coordinator) -> None:
        if not coordinator.holders:
            return
        node_id = coordinator.holders[self.chance.choice(sorted(coordinator.holders))].node_id
        coordinator.say(f"node {node_id} vanishes")
        for holder in coordinator.all_holders:
            if holder.node_id == node_id:
                holder.vanish()
        coordinator.deliver(NodeFailed(self.now, node_id, "vanished"))

    def _kill_somebody(self, coordinator: Coordinator) -> None:
        if coordinator.holders:
            coordinator.holders[self.chance.choice(sorted(coordinator.holders))].is_killed()

    def _step_clock(self) -> None:
        # A clock set back makes who waits for a due time or a lease of another host wait longer by as much:
        # that is bounded, not prevented, so it is set back by little, or the day would not end.
        far = [-10.0, 3600.0, 86400.0] if self.day.one_host else [-10.0, 10.0]
        seconds = self.chance.choice(far)
        self.say(f"the wall clock is set by {seconds:+g} s")
        self._wall_offset += seconds
        self.clock_set_at = self.now
