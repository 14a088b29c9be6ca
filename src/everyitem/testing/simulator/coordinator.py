"""A virtual process that is given the batch: it waits for the owner, or is it, and may die at any moment."""

import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from msgspec.structs import replace

from everyitem.adapters.stores.liveness import LEASE
from everyitem.engine.commits import CommitBuilder
from everyitem.engine.messages import (
    AddNode,
    ChangeStatus,
    Command,
    Ending,
    Finish,
    InterruptNodes,
    Message,
    ResizeNode,
    RevokeSlice,
    RunSlice,
    SaveCheckpoint,
    TimePassed,
    Verdict,
    WakeAt,
)
from everyitem.engine.resumption import (
    active_milliseconds,
    begin_run,
    closing_commit,
    counters_at_end,
    counters_at_start,
    wall_at_start,
)
from everyitem.engine.roster import ISOLATING
from everyitem.engine.state import ExecutionState
from everyitem.engine.submission import LOOK, has_answered
from everyitem.model.errors import OwnershipLost, StoreError
from everyitem.model.items import InMemoryItems
from everyitem.model.plan import partition_items
from everyitem.model.status import ExecutionStatus
from everyitem.ports.checkpoint import Commit, Counters
from everyitem.ports.execution import ExecutionRecord
from everyitem.ports.node import HolderJoined
from everyitem.testing.simulator.active_time import ActiveTime
from everyitem.testing.simulator.day import Day, Kind
from everyitem.testing.simulator.failed import SimulationFailed
from everyitem.testing.simulator.telling import told
from everyitem.testing.simulator.virtual_holder import VirtualHolder
from everyitem.testing.simulator.virtual_ownership import VirtualOwnership
from everyitem.testing.simulator.virtual_store import VirtualStore
from everyitem.testing.simulator.virtual_writer import AGAIN, TRIES, VirtualWriter
from everyitem.testing.simulator.witness import Witness


class World(Protocol):
    """What a coordinator needs of the simulation."""

    now: float
    chance: random.Random
    day: Day
    witness: Witness
    store: VirtualStore
    items: InMemoryItems
    in_detail: bool

    @property
    def wall(self) -> float: ...

    @property
    def is_refused(self) -> bool: ...

    def say(self, text: str) -> None: ...

    def schedule(self, process: "Coordinator | None", when: float, what: Callable[[], object]) -> None: ...

    def promises(self, round_: int, index: int, attempt: int, what: Kind, delay: float) -> None: ...

    def has_begun(self, coordinator: "Coordinator") -> None: ...

    def has_ended(self, coordinator: "Coordinator") -> None: ...


class Coordinator:
    """One process, from its start to its end or death."""

    def __init__(self, world: World, name: str, *, here: bool, redrive: Sequence[int] = ()) -> None:
        """`redrive` are failed items to open a round over."""
        self.world, self.name, self.here = world, name, here
        self.chance, self.day, self.witness, self.store = world.chance, world.day, world.witness, world.store
        self._redrive = redrive
        self.is_dead = False
        #: Stopped by somebody until then; what happens meanwhile, happens when it is woken.
        self.frozen_until = 0.0
        self.holders: dict[str, VirtualHolder] = {}
        #: Those that are gone, too.
        self.all_holders: list[VirtualHolder] = []
        self.verdict: Verdict | None = None
        self._attached = False
        self._names = self._wake = 0
        # of its run, once it has one
        self.state: ExecutionState | None = None
        self._record: ExecutionRecord | None = None
        self._ownership: VirtualOwnership | None = None
        self._writer: VirtualWriter | None = None
        self._closing: Commit | None = None
        self._is_running = self._is_recorded = False
        self._counters = Counters()
        self._active_time = ActiveTime(self._counters, timeout=self.day.configuration.timeout)
        self._failed_before = 0
        self._cut = 0
        self._isolating: set[str] = set()
        #: Workers started by node, and who has joined as a whole.
        self._started: dict[str, int] = {}
        self._joined: set[str] = set()

    @property
    def now(self) -> float:
        """Monotonic seconds."""
        return self.world.now

    @property
    def wall(self) -> float:
        """Epoch seconds, by a clock that people set."""
        return self.world.wall

    @property
    def is_refused(self) -> bool:
        """Whether what items depend on is out of reach."""
        return self.world.is_refused

    @property
    def round(self) -> int:
        """The round of its run."""
        return self.store.round if self._record is None else self._record.round

    def at(self, when: float, what: Callable[[], object]) -> None:
        """Let something happen in this process, unless it is dead by then."""
        self.world.schedule(self, when, what)

    def say(self, text: str) -> None:
        """Add a line to the story."""
        self.world.say(f"{self.name}: {text}")

    # -- from a start to a run (engine/submission.py) -----------------------------------------------

    def look(self) -> None:
        """Resume as owner, redrive, or wait for the owner."""
        try:
            record = self.store.find()
            if not self._redrive and has_answered(record, to_waiting=self._attached and not record.owned):
                self._end("answers from the record")
                return
            ownership = self.store.claim(self)
            if ownership is None and self._redrive:
                self._end("may not redrive what is being executed")
            elif ownership is None:
                self._attached = True
                self.at(self.now + LOOK, self.look)
            else:
                self._ownership = ownership
                self._begin_owning(ownership)
        except StoreError as error:
            self._give_back(ExecutionStatus.INTERRUPTED if self._is_running else None)
            self._end(f"ends: {error}")

    def _begin_owning(self, ownership: VirtualOwnership) -> None:
        if self._redrive:
            ownership.open_round(self._redrive)
            self.say(f"opens round {self.store.round} over {len(self._redrive)} items")
        record = self.store.find()
        if not self._redrive and has_answered(record, to_waiting=self._attached):
            ownership.release()
            self._end("owns what is complete already")
            return
        self._begin(record, ownership)

    # -- a run (engine/execution.py) ----------------------------------------------------------------

    def _begin(self, record: ExecutionRecord, ownership: VirtualOwnership) -> None:
        chance, how = self.chance, self.day.configuration
        self._is_running = True
        recorded = self.store.recorded()
        open_items = recorded.ledger.count(0)
        self.witness.begins_run(self, recorded, record.round)
        begins_round = record.round > 1 and record.round not in self.store.segments
        counters = counters_at_start(recorded, begins_round=begins_round, recovering=self._attached)
        nodes = [(f"n{k}", chance.choice([1, 2, 4])) for k in range(chance.choice([1, 1, 2, 4]))]
        allocated = [(node_id, slots + chance.choice([0, 0, 3])) for node_id, slots in nodes]
        allocated += [("spare", 2)] * (chance.random() < 0.3)
        self._isolating = {node_id for node_id, _ in allocated if chance.random() < 0.5}
        self._record, self._counters = record, counters
        self._failed_before = counters.failed - self.store.intents.settled_as_failed
        self._cut = counters.succeeded + counters.failed
        self.state = begin_run(
            how,
            recorded,
            counters,
            nodes=nodes,
            partitions=partition_items(self.day.items, chance.choice([1, 3, 10])),
            at=self.now,
            wall=wall_at_start(record, self.wall),
            chance=chance.random,
            isolating=self._isolating,
            unit=self.day.unit,
            allocated=allocated,
        )
        self._active_time = ActiveTime(counters, timeout=how.timeout, at=self.now)
        self.say(f"run {record.runs} begins with {open_items} open items on {nodes}")
        builder = CommitBuilder(
            record,
            self.world.items,
            last_sequence=recorded.last_sequence,
            events=how.enable_checkpointing,
        )
        self._writer = VirtualWriter(self, ownership, builder, hears=bool(self.day.promises))
        self._writer.put(ChangeStatus(ExecutionStatus.RUNNING))
        for node_id, slots in nodes:
            self._resize(node_id, slots)
        self.world.has_begun(self)
        self.deliver(TimePassed(self.now))

    def _resize(self, node_id: str, slots: int) -> None:
        """Let a node use so many slots; it is started when it gets the first."""
        chance = self.chance
        when = self.now + chance.choice([0.0, 0.0, 0.2]) * chance.random()
        before = self._started.get(node_id, 0)
        if node_id in self._isolating:
            # a worker there are too many of idles
            for _ in range(before, slots):
                self.at(when, partial(self.join, node_id, 1, shared=False))
            self._started[node_id] = max(before, slots)
            return
        self._started[node_id] = slots
        if not before and slots and node_id not in self._joined:
            self._joined.add(node_id)
            self.at(when, partial(self.join, node_id, slots, shared=True))
        for holder in self.holders.values():
            if holder.node_id == node_id:
                holder.resize(slots)

    def join(self, node_id: str, slots: int, *, shared: bool) -> None:
        """A holder comes up."""
        if self.verdict is not None:
            return
        if shared:
            # as many as its node uses by now
            slots = self._started[node_id]
        self._names += 1
        name = f"{self.name}/{node_id}/{self._names}"
        holder = self.holders[name] = VirtualHolder(self, name, node_id, slots, shared=shared)
        self.all_holders.append(holder)
        holder.post(HolderJoined(self.now, name, node_id, slots, shared))

    def active_ms(self) -> int:
        """Active milliseconds over all runs."""
        return self._counters.active_ms if self.state is None else self._active_ms(self.state)

    def _active_ms(self, state: ExecutionState) -> int:
        return active_milliseconds(self._counters, state, self.now)

    def commit_takes(self) -> float:
        """Seconds until the next commit is on disk."""
        return self.day.save_time * self.chance.random()

    def awaits_events(self) -> bool:
        """Whether items are deferred."""
        return self.state is not None and self.state.ledger.deferred > 0

    def promises(self, index: int, attempt: int, what: Kind, delay: float) -> None:
        """An item has left word with somebody: an event will tell what became of it."""
        self.world.promises(self.round, index, attempt, what, delay)

    # -- messages and commands (engine/runtime.py) --------------------------------------------------

    def deliver(self, message: Message) -> None:
        """Give the state machine a message and carry out what it answers."""
        state = self.state
        if state is None or self.verdict is not None:
            return
        # as it arrives: a late message must not turn time back
        breaker = state.pacing.breaker
        openings = breaker.openings
        commands = state.handle(replace(message, at=self.now))
        if breaker.openings > openings:
            self.say(f"notices an outage: {breaker.view.named}")
        if self.world.in_detail:
            self.say(f"  hears {told(message)}")
            for command in commands:
                if not isinstance(command, WakeAt):
                    self.say(f"    {told(command)}")
        ledger = state.ledger
        if ledger.succeeded + ledger.failed + ledger.open != self.day.items:
            raise SimulationFailed("I2: succeeded + failed + open differs from the number of items")
        if state.verdict is not None:
            # a run that ends in a pause is active again while it drains
            self._active_time.note(self.now, active=True)
        for command in commands:
            self._carry_out(command)
        how = self.day.configuration
        if (
            how.enable_checkpointing
            and ledger.succeeded + ledger.failed - self._cut >= how.checkpoint_interval
        ):
            raise SimulationFailed("I8: a checkpoint is due and was not cut")

    def _carry_out(self, command: Command) -> None:
        match command:
            case RunSlice(holder=name, lease=lease):
                self._active_time.check_dealing(self.now)
                if name in self.holders:
                    run = partial(self.holders[name].run, lease)
                    self.at(self.now + self.chance.random() * self.day.latency, run)
            case RevokeSlice(holder=name, lease_id=lease_id):
                if name in self.holders:
                    # a revocation never overtakes the lease it is about
                    self.at(self.now + self.day.latency, partial(self.holders[name].revoke, lease_id))
            case SaveCheckpoint():
                self._cut += sum(one.succeeded + one.failed for one in command.segments)
                self._put(command)
            case ChangeStatus(status=status):
                self._active_time.note(self.now, active=status is ExecutionStatus.RUNNING)
                self._put(command)
            case AddNode(node=node):
                if node.kind in ISOLATING:
                    self._isolating.add(node.node_id)
            case ResizeNode(node_id=node_id, slots=slots):
                self.say(f"node {node_id} uses {slots} slots")
                self._resize(node_id, slots)
            case InterruptNodes():
                for holder in list(self.holders.values()):
                    holder.die(replaced=False)
            case WakeAt(at=moment):
                self._wake += 1
                if moment is not None:
                    self.at(moment, partial(self._wake_up, self._wake))
            case Finish(verdict=verdict):
                self._finish(verdict)

    def _put(self, command: SaveCheckpoint | ChangeStatus) -> None:
        if self._writer is not None:
            self._writer.put(command)

    def _wake_up(self, wish: int) -> None:
        if wish == self._wake:
            self.deliver(TimePassed(self.now))

    # -- the end ------------------------------------------------------------------------------------

    def _finish(self, verdict: Verdict) -> None:
        self.verdict = verdict
        self.say(f"verdict: {verdict.ending} {verdict.message}".rstrip())
        counted_ms = self.active_ms() - self._counters.active_ms
        self._active_time.check_end(self.now, verdict.ending, counted_ms=counted_ms)
        if verdict.ending is not Ending.STORE_FAILED:
            self._check_limit(verdict)
        for holder in list(self.holders.values()):
            holder.vanish()
        at = self.now
        self.at(self.now + self.chance.random() * 0.05, partial(self._conclude, verdict, at))

    def _check_limit(self, verdict: Verdict) -> None:
        """The error strategies stop at exactly the limit + 1 final failures of a run."""
        how = self.day.configuration
        tolerated = how.tolerated_failures(self.day.items)
        if tolerated is None or not how.stops_on_failures or not self.owns:
            return
        failed = self.store.marks.count(2) - self.store.intents.settled_as_failed - self._failed_before
        stopped = verdict.ending in (Ending.FAILED_FAST, Ending.TOLERANCE_EXCEEDED)
        if failed > tolerated + 1 or (stopped and failed != tolerated + 1):
            raise SimulationFailed(f"{failed} items failed for good in this run, {tolerated} tolerated")

    @property
    def owns(self) -> bool:
        """Whether the store says so, too."""
        return self.store.owner is self and self.store.expires_at is not None

    def _conclude(self, verdict: Verdict, at: float, tries: int = TRIES) -> None:
        state, record, ownership = self.state, self._record, self._ownership
        if state is None or record is None or ownership is None:
            raise SimulationFailed("a run ends that has not begun")
        if verdict.ending is Ending.STORE_FAILED:
            self._give_back(ExecutionStatus.INTERRUPTED)
            self._end("ends without a store")
            return
        if self._writer is not None and not self._writer.is_idle:
            # the flush of engine/writer.py
            self.at(self.now + 0.001, partial(self._conclude, verdict, at))
            return
        success = verdict.ending is Ending.COMPLETED
        closing = self._closing or closing_commit(
            record,
            counters_at_end(self._counters, state, at),
            verdict,
            response=b'{"run":%d}' % record.runs,
            success=success,
            at=self.wall,
        )
        self._closing = closing
        try:
            if not self._is_recorded:
                ownership.commit(closing)
                self._is_recorded = True
            self._stop_writer()
            ownership.release()
        except OwnershipLost as error:
            self._end(f"ends: {error}")
        except StoreError as error:
            if tries > 1:
                self.at(self.now + AGAIN, partial(self._conclude, verdict, at, tries=tries - 1))
                return
            self._give_back(ExecutionStatus.INTERRUPTED)
            self._end(f"ends: {error}")
        else:
            self._end("ends")

    def _stop_writer(self) -> None:
        if self._writer is not None:
            self._writer.stop()

    def _give_back(self, status: ExecutionStatus | None) -> None:
        """As well as still possible."""
        self._stop_writer()
        try:
            if self._ownership is not None and self._closing is not None:
                if not self._is_recorded:
                    self._ownership.commit(self._closing)
                self._ownership.release()
            elif self._ownership is not None:
                self._ownership.release(status)
        except StoreError:
            pass

    def _end(self, text: str) -> None:
        self.say(text)
        self.die()

    def die(self) -> None:
        """Be gone, in good order or not."""
        if not self.is_dead:
            self.is_dead = True
            self.world.has_ended(self)

    def freeze(self) -> None:
        """Somebody stops the process, perhaps for longer than its lease."""
        seconds = self.chance.choice([0.5, LEASE * 2])
        self.say(f"is stopped for {seconds:g} s")
        self.frozen_until = self.now + seconds
