"""A deterministic simulator: the real state machine on bad days.

One seed is one exact replay. A virtual clock drives virtual nodes and a virtual store through schedules
of crashes, doubled and lost messages, vanishing nodes, slow saves, pauses, stops and restarts of the
coordinator. The store checks, with every transaction, that no outcome is recorded twice; at the end every
item must have exactly one.
"""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import msgspec

from everyitem.engine.messages import (
    CancelAsked,
    CheckpointSaved,
    Command,
    Ending,
    Finish,
    InterruptNodes,
    Message,
    PauseAsked,
    ResumeAsked,
    RetryChange,
    RevokeSlice,
    RunSlice,
    SaveCheckpoint,
    StopAsked,
    TimePassed,
    Verdict,
    WakeAt,
)
from everyitem.engine.recorder import Recorder
from everyitem.engine.state import ExecutionState, PendingAttempt
from everyitem.model.configuration import ErrorStrategy, ProcessingConfiguration
from everyitem.model.errors import ErrorCode
from everyitem.model.outcome import Failure, OutcomeBlock, Successes
from everyitem.model.plan import partition_items
from everyitem.model.retry import RetryPolicy
from everyitem.ports.node import (
    HolderJoined,
    HolderLost,
    ItemRunsLong,
    Lease,
    NodeFailed,
    OutcomesArrived,
    SliceFinished,
    SliceShortened,
)
from everyitem.ports.store import Counters


class SimulationFailed(AssertionError):
    """An invariant broke; the message carries the seed and the last events of the story."""


@dataclass
class VirtualStore:
    """What is durable: survives every crash of the coordinator, refuses to record anything twice."""

    items: int
    max_attempts: int
    marks: bytearray = field(default_factory=bytearray)
    pending: dict[int, RetryChange] = field(default_factory=dict)
    counters: Counters = Counters()
    segments: int = 0

    def __post_init__(self) -> None:
        self.marks = bytearray(self.items)

    def apply(self, save: SaveCheckpoint) -> None:
        """One transaction."""
        for segment in save.segments:
            self.segments += 1
            for run in segment.successes:
                if len(run.result_texts()) != len(run) or len(run.indices()) != len(run):
                    raise SimulationFailed("a run's ranges, durations and results differ in length")
                if run.attempt > self.max_attempts:
                    raise SimulationFailed(f"attempt {run.attempt} of {run.indices()} is one too many")
                for index, text in zip(run.indices(), run.result_texts(), strict=True):
                    if text != str(index).encode():
                        raise SimulationFailed(f"item {index} got the result of item {text.decode()}")
                    self._record(index, 1)
            for failure in segment.failures:
                if failure.attempt > self.max_attempts:
                    raise SimulationFailed(
                        f"attempt {failure.attempt} of item {failure.index} is one too many"
                    )
                if failure.final:
                    self._record(failure.index, 2)
        for change in save.retries:
            if change.due is None:
                self.pending.pop(change.index, None)
            else:
                self.pending[change.index] = change
        self.counters = save.counters
        if (self.counters.succeeded, self.counters.failed) != (self.marks.count(1), self.marks.count(2)):
            raise SimulationFailed(f"counters {self.counters} differ from what is recorded")
        if any(self.marks[index] for index in self.pending):
            raise SimulationFailed("an item with an outcome still waits for a retry")

    def _record(self, index: int, mark: int) -> None:
        if self.marks[index]:
            raise SimulationFailed(f"a second outcome for item {index}")
        self.marks[index] = mark


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

    def __init__(self, world: "Simulation", name: str, node_id: str, slots: int, *, shared: bool) -> None:
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
                    retry_after=later,
                )
            )
            last = permanent or (later is None and held.lease.attempt >= world.store.max_attempts)
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
        for held in self.leases.values():
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
        self.is_cut_off = False
        message = HolderLost(world.now, self.name, block, "died", replaced=replaced)
        # behind everything it said before
        when = max(self._last_post, world.now)
        world.at(when, lambda: world.deliver(message))
        if replaced:
            world.at(when + 0.05, lambda: world.join(self.node_id, self.slots, shared=self.shared))


class Simulation:
    """One seeded day: run it with `run()`; it returns when the batch is complete or raises."""

    MAX_EVENTS = 100_000

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.chance = chance = random.Random(seed)
        self.now = 0.0
        self._events: list[tuple[float, int, int, Callable[[], object]]] = []
        self._number = 0
        self._life = 0
        self.story: list[str] = []
        self.calls = 0
        self.items = chance.choice([0, 1, 2, 7, 50, 200, 500])
        self.failing = chance.choice([0.0, 0.05, 0.5])
        self.killer_share = chance.choice([0.0, 0.0, 0.02])
        self.loss = chance.choice([0.0, 0.0, 0.002])
        self.doubling = chance.choice([0.0, 0.1])
        self.latency = chance.choice([0.0, 0.001, 0.02])
        self.save_time = chance.choice([0.0, 0.005, 0.5])
        self.slow_share = chance.choice([0.0, 0.05])
        strategy = chance.choice([*[ErrorStrategy.CONTINUE_ON_ERROR] * 3, *ErrorStrategy])
        self.configuration = ProcessingConfiguration(
            processor="simulated",
            retry=RetryPolicy(max_retries=chance.choice([0, 1, 3]), initial_delay=0.05, max_delay=1.0),
            strategy=strategy,
            tolerated_failure_count=chance.choice([None, 0, 3]),
            checkpoint_interval=chance.choice([1, 7, 100, 1000]),
            checkpoint_interval_seconds=chance.choice([0.1, 30.0]),
            timeout=chance.choice([2.0, 3600.0, 3600.0]),
            drain=chance.choice([0.05, 30.0]),
        )
        self.store = VirtualStore(self.items, self.configuration.retry.max_retries + 1)
        self.holders: dict[str, VirtualHolder] = {}
        self._names = 0
        self._state: ExecutionState | None = None
        self._verdict: Verdict | None = None
        self._crashed = False
        self._wake = 0

    # -- the world --------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """Add a line to the story."""
        self.story.append(f"{self.now:9.4f} {text}")

    def at(self, when: float, what: Callable[[], object]) -> None:
        """Let something happen in the present life of the coordinator."""
        self._number += 1
        heapq.heappush(self._events, (max(when, self.now), self._number, self._life, what))

    def duration(self) -> float:
        """How long an item takes."""
        if self.chance.random() < self.slow_share:
            return self.chance.uniform(0.05, 0.5)
        return self.chance.uniform(0.0001, 0.005)

    def is_last(self, holder: VirtualHolder) -> bool:
        """Whether no other holder would be left."""
        return not any(other is not holder for other in self.holders.values())

    def join(self, node_id: str, slots: int, *, shared: bool) -> None:
        """A holder comes up."""
        self._names += 1
        name = f"{node_id}/{self._names}"
        holder = self.holders[name] = VirtualHolder(self, name, node_id, slots, shared=shared)
        holder.post(HolderJoined(self.now, name, node_id, slots, shared))

    # -- one life of the coordinator --------------------------------------------------------------

    def run(self) -> VirtualStore:
        """Live until every item has an outcome; returns the store."""
        try:
            if not any(self._live_to_completion() for _ in range(400)):
                raise SimulationFailed("the batch never ends, however often it is resumed")
            if self.store.marks.count(0):
                raise SimulationFailed(f"{self.store.marks.count(0)} items are open, but it says COMPLETED")
            if not self.store.segments:
                raise SimulationFailed("the batch ended without a checkpoint")
        except AssertionError as error:
            story = "\n".join(self.story[-40:])
            raise SimulationFailed(f"seed {self.seed}: {error}\n{story}") from error
        return self.store

    def _live_to_completion(self) -> bool:
        verdict = self._live()
        return verdict is not None and verdict.ending is Ending.COMPLETED

    def _live(self) -> Verdict | None:
        """From a start or restart to a verdict, or to a crash (None)."""
        self._life += 1
        self._events.clear()
        self.holders.clear()
        self._verdict = None
        self._crashed = False
        chance, configuration = self.chance, self.configuration
        nodes = [(f"n{k}", chance.choice([1, 2, 4])) for k in range(chance.choice([1, 1, 2, 4]))]
        recorded = bytearray(self.store.marks)
        self._state = ExecutionState(
            configuration,
            recorded=recorded,
            nodes=nodes,
            partitions=partition_items(self.items, chance.choice([1, 3, 10])),
            at=self.now,
            chance=chance.random,
            pending=[
                PendingAttempt(one.index, one.attempts, max(0.0, (one.due or 0.0) - self.now), one.alone)
                for one in self.store.pending.values()
            ],
            recorder=Recorder(
                configuration,
                at=self.now,
                counters=self.store.counters,
                pending=frozenset(self.store.pending),
            ),
            deadline=self.now + configuration.timeout,
        )
        self.say(f"life {self._life} begins with {self.store.marks.count(0)} open items on {nodes}")
        for node_id, slots in nodes:
            if chance.random() < 0.5:
                self.at(self.now, partial(self.join, node_id, slots, shared=True))
            else:
                for _ in range(slots):
                    self.at(self.now, partial(self.join, node_id, 1, shared=False))
        self._plan_trouble()
        self.deliver(TimePassed(self.now))
        self._let_time_pass()
        return self._end_of_life()

    def _let_time_pass(self) -> None:
        for _ in range(self.MAX_EVENTS):
            if self._crashed or self._verdict is not None or not self._events:
                break
            when, _, life, what = heapq.heappop(self._events)
            self.now = max(self.now, when)
            if life == self._life:
                what()

    def _end_of_life(self) -> Verdict | None:
        if self._crashed:
            self.say("the coordinator crashes")
            return None
        verdict = self._verdict
        if verdict is None:
            raise SimulationFailed("nothing happens any more, but there is no verdict")
        self.say(f"verdict: {verdict}")
        return verdict

    def _crash(self) -> None:
        self._crashed = True

    def _plan_trouble(self) -> None:
        """Crashes of the coordinator and of holders, pauses, stops; less the longer it takes."""
        chance = self.chance
        calm = self._life > 8
        span = 0.02 + self.items * 0.003
        if not calm and chance.random() < 0.5:
            self.at(self.now + chance.random() * span, self._crash)
        if chance.random() < 0.3:
            start = self.now + chance.random() * span
            self.at(start, lambda: self.deliver(PauseAsked(self.now)))
            self.at(start + chance.random(), lambda: self.deliver(ResumeAsked(self.now)))
        if not calm and chance.random() < 0.2:
            when = self.now + chance.random() * span
            requests: list[Message] = [
                CancelAsked(when),
                StopAsked(when, "SIGTERM"),
                StopAsked(when, "SIGTERM", at_once=True),
            ]
            self.at(when, partial(self.deliver, chance.choice(requests)))
        for _ in range(0 if calm else chance.choice([0, 0, 1, 5])):
            self.at(self.now + chance.random() * span, self._kill_somebody)
        if not calm and chance.random() < 0.1:
            self.at(self.now + chance.random() * span, self._lose_node)

    def _kill_somebody(self) -> None:
        if self.holders:
            victim = self.holders[self.chance.choice(sorted(self.holders))]
            victim.die(suspects=self.chance.random() < 0.5 and not victim.shared, recovered=True)

    def _lose_node(self) -> None:
        if not self.holders:
            return
        node_id = self.holders[self.chance.choice(sorted(self.holders))].node_id
        self.say(f"node {node_id} vanishes")
        for holder in list(self.holders.values()):
            if holder.node_id == node_id:
                holder.is_gone = True
                del self.holders[holder.name]
        self.deliver(NodeFailed(self.now, node_id, "vanished"))

    # -- messages and commands --------------------------------------------------------------------

    def deliver(self, message: Message) -> None:
        """Give the state machine a message and carry out what it answers."""
        state = self._state
        if state is None or self._verdict is not None:
            return
        # as it arrives: a late message must not turn time back
        commands = state.handle(msgspec.structs.replace(message, at=self.now))
        ledger = state.ledger
        if ledger.succeeded + ledger.failed + ledger.open != self.items:
            raise SimulationFailed("succeeded + failed + open differs from the number of items")
        for command in commands:
            self._carry_out(command)

    def _carry_out(self, command: Command) -> None:
        match command:
            case RunSlice(holder=name, lease=lease):
                if name in self.holders:
                    run = partial(self.holders[name].run, lease)
                    self.at(self.now + self.chance.random() * self.latency, run)
            case RevokeSlice(holder=name, lease_id=lease_id):
                if name in self.holders:
                    # a revocation never overtakes the lease it is about
                    self.at(self.now + self.latency, partial(self.holders[name].revoke, lease_id))
            case SaveCheckpoint():
                self.at(self.now + self.save_time, lambda: self._save(command))
            case InterruptNodes():
                for holder in list(self.holders.values()):
                    holder.die(suspects=False, recovered=True, replaced=False)
            case WakeAt(at=moment):
                self._wake += 1
                if moment is not None:
                    self.at(moment, partial(self._wake_up, self._wake))
            case Finish():
                self._verdict = command.verdict
            case _:
                pass

    def _wake_up(self, wish: int) -> None:
        if wish == self._wake:
            self.deliver(TimePassed(self.now))

    def _save(self, save: SaveCheckpoint) -> None:
        self.store.apply(save)
        self.at(
            self.now + self.chance.random() * self.latency,
            lambda: self.deliver(CheckpointSaved(self.now, save.ticket)),
        )
