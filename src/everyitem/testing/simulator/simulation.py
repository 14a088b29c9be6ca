"""One seeded day."""

import heapq
import random
from collections.abc import Callable
from dataclasses import replace
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
    RevokeSlice,
    RunSlice,
    SaveCheckpoint,
    SettleAsked,
    StopAsked,
    StoreFailed,
    TimePassed,
    Verdict,
    WakeAt,
)
from everyitem.engine.recorder import Recorder
from everyitem.engine.retries import PendingAttempt
from everyitem.engine.state import ExecutionState
from everyitem.model.configuration import ErrorStrategy, ProcessingConfiguration
from everyitem.model.errors import ErrorCode
from everyitem.model.plan import partition_items
from everyitem.model.retry import RetryPolicy
from everyitem.ports.node import HolderJoined, NodeFailed
from everyitem.ports.store import Decision, Settlement
from everyitem.testing.simulator.failed import SimulationFailed
from everyitem.testing.simulator.virtual_holder import VirtualHolder
from everyitem.testing.simulator.virtual_store import VirtualStore


class Simulation:
    """One seeded day: run it with `run()`; it returns when the batch is complete or raises."""

    MAX_EVENTS = 100_000

    def __init__(self, seed: int, *, at_most_once: bool = False) -> None:
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
            enable_checkpointing=chance.random() < 0.9,
            timeout=chance.choice([2.0, 3600.0, 3600.0]),
            drain=chance.choice([0.05, 30.0]),
        )
        if at_most_once:
            self.configuration = replace(
                self.configuration,
                at_most_once=True,
                enable_checkpointing=True,
                in_doubt_limit=chance.choice([1, 5, 100]),
            )
        self.at_most_once = self.configuration.at_most_once
        self.max_attempts = self.configuration.retry.max_retries + 1
        self.store = VirtualStore(
            self.items,
            self.max_attempts,
            at_most_once=self.at_most_once,
            in_doubt_limit=self.configuration.in_doubt_limit,
        )
        self._called: set[tuple[int, int]] = set()
        self.holders: dict[str, VirtualHolder] = {}
        self._names = 0
        self._state: ExecutionState | None = None
        self._verdict: Verdict | None = None
        self._crashed = False
        self._failed_before = 0
        self._wake = 0

    # -- the world --------------------------------------------------------------------------------

    def called(self, index: int, attempt: int) -> None:
        """The witness: under at-most-once no attempt is called twice, nor before its intent is on disk."""
        if not self.at_most_once:
            return
        if (index, attempt) in self._called:
            raise SimulationFailed(f"attempt {attempt} of item {index} is called a second time")
        intent = self.store.intents.get(index)
        if intent is None or intent.attempt != attempt or intent.doubt:
            raise SimulationFailed(f"attempt {attempt} of item {index} is called without an intent on disk")
        self._called.add((index, attempt))

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
        self._settle_doubts()
        recorded = bytearray(self.store.marks)
        self._failed_before = recorded.count(2) - self.store.settled_as_failed
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
            intents=[one for one in self.store.intents.values() if not self.store.marks[one.index]],
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
        self._check_limit(verdict)
        return verdict

    def _check_limit(self, verdict: Verdict) -> None:
        """The error strategies stop at exactly the limit + 1 final failures of this life."""
        state = self._state
        if state is None or state.tally.tolerated is None or not self.configuration.stops_on_failures:
            return
        failed = self.store.marks.count(2) - self.store.settled_as_failed - self._failed_before
        stopped = verdict.ending in (Ending.FAILED_FAST, Ending.TOLERANCE_EXCEEDED)
        if failed > state.tally.tolerated + 1 or (stopped and failed != state.tally.tolerated + 1):
            raise SimulationFailed(
                f"{failed} items failed for good in this life, {state.tally.tolerated} tolerated"
            )

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
        if not calm and chance.random() < 0.1:
            self.at(self.now + chance.random() * span, self._lose_store)
        for _ in range(0 if calm else chance.choice([0, 0, 1, 5])):
            self.at(self.now + chance.random() * span, self._kill_somebody)
        if not calm and chance.random() < 0.1:
            self.at(self.now + chance.random() * span, self._lose_node)

    def _settle_doubts(self) -> None:
        """A person decides about what earlier lives left in doubt, before or while the next one runs."""
        for index in sorted(self.store.intents):
            if self.chance.random() < 0.2:
                continue
            decision = self.chance.choice(list(Decision))
            said = Settlement(index, decision, "me", self.now, result=b"%d" % index)
            self.store.granted += decision is Decision.AGAIN
            if self.chance.random() < 0.5:
                self.store.settle(said)
            else:
                self.at(self.now + self.chance.random() * 0.05, partial(self._settle, said))

    def _settle(self, said: Settlement) -> None:
        self.deliver(SettleAsked(self.now, said))

    def _lose_store(self) -> None:
        self.say("the store is out of reach")
        self.deliver(StoreFailed(self.now, ErrorCode.SYSTEM_ERROR, "out of reach"))

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
