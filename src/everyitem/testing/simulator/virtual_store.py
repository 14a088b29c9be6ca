"""The simulator's store: what is durable, written through the same `Transactions` as the real one's."""

import random
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from everyitem.adapters.stores.liveness import LEASE, keeps
from everyitem.adapters.stores.transactions import Position
from everyitem.engine.deferrals import DEFERRAL_TIMEOUT
from everyitem.engine.events import BATCH_EXECUTED, EXECUTION_FAILED
from everyitem.model.errors import OwnershipLost, StoreError, StoreFull
from everyitem.model.status import ExecutionStatus, may_move
from everyitem.ports.checkpoint import Commit, Counters, PendingRetry, SegmentDraft
from everyitem.ports.completions import Completion
from everyitem.ports.execution import ExecutionRecord, Recorded
from everyitem.ports.outbox import OutboxEvent
from everyitem.testing.simulator.day import Day
from everyitem.testing.simulator.failed import SimulationFailed
from everyitem.testing.simulator.virtual_attempts import VirtualAttempts
from everyitem.testing.simulator.virtual_deferrals import VirtualDeferrals
from everyitem.testing.simulator.virtual_intents import VirtualIntents
from everyitem.testing.simulator.virtual_ownership import Process, VirtualOwnership
from everyitem.testing.simulator.witness import Witness

OPEN, SUCCEEDED, FAILED = 0, 1, 2


class World(Protocol):
    """What the store needs of the simulation."""

    now: float
    chance: random.Random
    day: Day
    witness: Witness
    #: When the wall clock was set last.
    clock_set_at: float

    @property
    def wall(self) -> float: ...

    @property
    def is_store_away(self) -> bool: ...

    @property
    def is_calm(self) -> bool: ...

    def say(self, text: str) -> None: ...


_TERMINAL = (BATCH_EXECUTED, EXECUTION_FAILED)


class VirtualStore:
    """One execution as it stands on disk: survives every crash, and checks each transaction."""

    def __init__(self, world: World) -> None:
        self._world, self._day = world, world.day
        self.marks = bytearray(world.day.items)
        self.pending: dict[int, PendingRetry] = {}
        self.attempts = VirtualAttempts()
        self.intents = VirtualIntents(world.day, world.witness)
        self.deferrals = VirtualDeferrals(world.day)
        self.counters = Counters()
        self.status = ExecutionStatus.QUEUED
        self.round = 1
        self.runs = 0
        self.response: bytes | None = None
        self.events: list[OutboxEvent] = []
        #: The round of each segment.
        self.segments: list[int] = []
        self.last_checkpoint_at: float | None = None
        # ownership
        self.token = self.writes = 0
        self.owner: Process | None = None
        self.expires_at: float | None = None
        self._written_at = 0.0

    # -- being reached ------------------------------------------------------------------------------

    def _reach(self) -> None:
        if self._world.is_store_away:
            raise StoreError("the store is out of reach")

    def transaction(self, write: Callable[[], None]) -> None:
        """All of it or nothing; a `StoreError` says nothing about which.

        A move that is against the rules is refused: it raises, and leaves everything as it was.
        """
        self._reach()
        world = self._world
        fate = 1.0 if world.is_calm else world.chance.random() / (self._day.store_faults or 1e-9)
        if fate < 0.05:
            world.say("store: the disk is full")
            raise StoreFull("the disk is full")
        if fate < 0.5:
            world.say("store: a transaction fails")
            raise StoreError("it failed")
        kept = [(part, _copy_of(part)) for part in (self, self.attempts, self.intents, self.deferrals)]
        try:
            write()
        except BaseException:
            for part, before in kept:
                vars(part).update(before)
            raise
        if fate < 1.0:
            world.say("store: a transaction succeeds, but nobody gets to know")
            raise StoreError("its end was not seen")

    # -- reading ------------------------------------------------------------------------------------

    @property
    def _is_owned(self) -> bool:
        owner = self.owner
        return (
            owner is not None
            and self.expires_at is not None
            and keeps(self.expires_at, self._world.wall, alive=not owner.is_dead if owner.here else None)
        )

    def find(self) -> ExecutionRecord:
        """The execution's record, as the real store reads it."""
        self._reach()
        owned = self._is_owned
        status = ExecutionStatus.INTERRUPTED if self.status.is_active and not owned else self.status
        at_rest = status.is_finished or status in (ExecutionStatus.FAILED, ExecutionStatus.CANCELLED)
        return ExecutionRecord(
            execution_key=1,
            batch_id="simulated",
            execution=1,
            round=self.round,
            status=status,
            content="",
            items_digest="",
            item_count=self._day.items,
            named=False,
            processor="simulated",
            processor_code="",
            envelope=b"{}",
            settings=b"{}",
            source=None,
            created_at=0.0,
            finished_at=None,
            runs=self.runs,
            counters=self.counters,
            progress=None,
            response=self.response if at_rest else None,
            last_checkpoint_at=self.last_checkpoint_at,
            owned=owned,
        )

    def recorded(self) -> Recorded:
        """What a run begins with."""
        self._reach()
        return Recorded(
            ledger=bytearray(self.marks),
            retries=[retry for retry in self.pending.values() if not self.marks[retry.index]],
            last_sequence=len(self.segments),
            counters=self.counters,
            intents=[intent for index, intent in self.intents.on_disk.items() if not self.marks[index]],
            deferrals=list(self.deferrals.on_disk.values()),
        )

    def completions(self, token: int) -> list[Completion]:
        """What events say of deferred items."""
        self._reach()
        return self.deferrals.matched(token, self._world.wall)

    # -- ownership ----------------------------------------------------------------------------------

    def claim(self, process: Process) -> VirtualOwnership | None:
        """Own the execution unless its owner lives."""
        taken = False

        def write() -> None:
            nonlocal taken
            if self._is_owned:
                return
            self._check_take_over()
            taken = True
            self.token += 1
            self.runs += 1
            self.owner = process
            self.expires_at = self._world.wall + LEASE
            self._written_at = self._world.now
            self._world.witness.owner = process

        self.transaction(write)
        return VirtualOwnership(self, process, self.token) if taken else None

    def _check_take_over(self) -> None:
        """Nobody takes an execution from an owner that was heard of within its lease."""
        owner = self.owner
        if owner is None or self.expires_at is None or owner.is_dead or not owner.here:
            return
        if self._written_at < self._world.clock_set_at:
            # with a new time of day its lease looks over until it is renewed, a second later at most
            return
        if self._world.now - self._written_at < LEASE:
            raise SimulationFailed("F21: a living owner is replaced before its lease is over")

    def position(self, token: int) -> Position | None:
        """Where the record stands for the owner with this token; None when it was given back."""
        self._reach()
        if token != self.token:
            raise OwnershipLost(f"token {token} has been replaced")
        if self.expires_at is None:
            return None
        return Position(self.writes, self.round, len(self.segments), b"")

    def admits(self, token: int, position: Position) -> bool:
        """The guard of every transaction: what the real store's first statement asks for."""
        return self.token == token and self.writes == position.writes and self.expires_at is not None

    def pass_guard(self, process: Process, token: int, position: Position, *, keep: bool = True) -> None:
        """Raise `OwnershipLost` unless the writer is the owner."""
        if not self.admits(token, position):
            raise OwnershipLost(f"token {token} has been replaced")
        if process is not self.owner or self.expires_at is None:
            raise SimulationFailed(f"I5: {process.name} writes, but does not own the execution")
        if (position.round, position.last_sequence) != (self.round, len(self.segments)):
            raise SimulationFailed(
                f"I6: what comes after segment {position.last_sequence} of round {position.round} is written "
                f"after segment {len(self.segments)} of round {self.round}"
            )
        self.writes += 1
        self.expires_at = self._world.wall + LEASE if keep else None
        self._written_at = self._world.now

    def move(self, status: ExecutionStatus | None) -> None:
        """Change the status; only legal moves are made."""
        if status is None:
            return
        # a run that begins and rests, or ends, at once is one transaction
        through = ExecutionStatus.RUNNING
        at_once = may_move(self.status, through) and may_move(through, status)
        if not (may_move(self.status, status) or at_once):
            raise SimulationFailed(f"an execution goes from {self.status} to {status}")
        self.status = status

    # -- what a transaction writes ------------------------------------------------------------------

    def open_round(self, indices: Sequence[int]) -> None:
        """The next round, over some failed items."""
        self.round += 1
        self.attempts.begin_round()
        self.intents.begin_round()
        self.deferrals.begin_round()
        for index in indices:
            if self.marks[index] != FAILED:
                raise SimulationFailed(f"a round opens over item {index}, which has not failed")
            self.marks[index] = OPEN
        self.move(ExecutionStatus.RUNNING)

    def apply(self, commit: Commit) -> None:
        """One commit, and what must be true of it."""
        for draft in commit.segments:
            self.segments.append(self.round)
            self._record_segment(draft)
        if commit.segments:
            self.last_checkpoint_at = self._world.wall
        self._change_retries(commit)
        self.intents.change(commit, self.round)
        if any(self.marks[index] for index in self.intents.on_disk):
            raise SimulationFailed("I6: an item with an outcome may still be called, or is in doubt")
        self._check_waiting()
        self.deferrals.change(commit, self.round, self.token, marks=self.marks)
        if any(self.marks[index] for index in self.deferrals.on_disk):
            raise SimulationFailed("I6: an item with an outcome is still deferred")
        self._add_events(commit)
        self.move(commit.status)
        if commit.response is not None:
            self.response = commit.response
        if commit.counters is not None:
            self._count(commit.counters)

    def _record_segment(self, draft: SegmentDraft) -> None:
        how = self._day.configuration
        if how.enable_checkpointing and draft.succeeded + draft.failed > how.checkpoint_interval:
            raise SimulationFailed(f"I8: a segment holds {draft.succeeded + draft.failed} outcomes")
        self.intents.settle(draft, self.round)
        for excuse in draft.excuses:
            self.attempts.excuse(excuse)
        for failure in draft.failures:
            if failure.type == DEFERRAL_TIMEOUT:
                attempt = self.round, failure.index, failure.attempt
                self.deferrals.note_end(*attempt, self.token, timed_out=True)
        for run in draft.successes:
            indices = run.indices()
            if len(run.result_texts()) != len(run) or len(indices) != len(run):
                raise SimulationFailed("I6: a run's ranges, durations and results differ in length")
            for index, text in zip(indices, run.result_texts(), strict=True):
                if text != b"%d" % index:
                    raise SimulationFailed(f"I10: item {index} got the result of item {text.decode()}")
                self._record_outcome(index, SUCCEEDED, run.attempt)
        for failure in draft.failures:
            if failure.attempt > self.intents.budget(failure.index):
                raise SimulationFailed(f"I4: attempt {failure.attempt} of item {failure.index}")
            if (self.round, failure.index, failure.attempt) in self._world.witness.unanswered:
                raise SimulationFailed(
                    f"item {failure.index} fails of attempt {failure.attempt}: nobody knows"
                )
            if failure.final:
                self._record_outcome(failure.index, FAILED, failure.attempt)
            else:
                self.attempts.fail(failure, granted=self.intents.was_granted(failure.index))

    def _record_outcome(self, index: int, mark: int, attempt: int) -> None:
        if self.marks[index]:
            raise SimulationFailed(f"I3: a second outcome for item {index}")
        self.marks[index] = mark
        if attempt > self.intents.budget(index):
            raise SimulationFailed(f"I4: item {index} has an outcome of attempt {attempt}")
        self.attempts.end(index, attempt)
        if (self.round, index) in self._world.witness.unlucky:
            return
        expired = [k for k in range(1, attempt + 1) if (self.round, index, k) in self.deferrals.expired]
        # an outage may have used up any attempt before it, and the last one of an item that failed
        outages = self._world.witness.outages
        is_spent = mark == FAILED and attempt == self._day.max_attempts
        expired += [k for k in range(1, attempt + is_spent) if (self.round, index, k) in outages]
        expected = self._day.expected(index, self.round, expired)
        if (mark == SUCCEEDED, attempt) != expected:
            raise SimulationFailed(
                f"I10: item {index} {'succeeds' if mark == SUCCEEDED else 'fails'} at attempt {attempt}; "
                f"undisturbed it {'succeeds' if expected[0] else 'fails'} at attempt {expected[1]}"
            )

    def _change_retries(self, commit: Commit) -> None:
        for index in commit.retries_cleared:
            self.pending.pop(index, None)
        for retry in commit.retries_set:
            self.pending[retry.index] = retry
            self.attempts.wait(retry, granted=self.intents.was_granted(retry.index))
        if any(self.marks[index] for index in self.pending):
            raise SimulationFailed("I6: an item with an outcome still waits for a retry")

    def _check_waiting(self) -> None:
        """At-most-once: who waits for an attempt is not in doubt of an earlier one."""
        for retry in self.pending.values():
            intent = self.intents.on_disk.get(retry.index)
            if intent is not None and intent.attempt <= retry.attempts:
                raise SimulationFailed(
                    f"I6: item {retry.index} waits for attempt {retry.attempts + 1}, and its intent says "
                    f"that nobody knows of attempt {intent.attempt}"
                )

    def _add_events(self, commit: Commit) -> None:
        known = {event.event_id for event in self.events}
        for event in commit.events:
            if event.event_id in known:
                raise SimulationFailed(f"I7: event {event.event_id} comes twice")
            known.add(event.event_id)
        self.events += commit.events
        if (commit.response is None) != all(event.type not in _TERMINAL for event in commit.events):
            raise SimulationFailed("I7: a response and its terminal event belong together")

    def _count(self, counters: Counters) -> None:
        before, self.counters = self.counters, counters
        if (counters.succeeded, counters.failed) != (self.marks.count(SUCCEEDED), self.marks.count(FAILED)):
            raise SimulationFailed(f"I2: {counters} differ from what is recorded")
        if counters.checkpoints != len(self.segments):
            raise SimulationFailed(f"I6: {counters.checkpoints} checkpoints, {len(self.segments)} segments")
        if counters.retried != len(self.attempts.retried):
            raise SimulationFailed(
                f"I2: retried {counters.retried}, but {len(self.attempts.retried)} items were"
            )
        if not before.active_ms <= counters.active_ms or counters.window_ms > counters.active_ms:
            raise SimulationFailed(f"F21: active time goes from {before} to {counters}")

    def check_end(self) -> None:
        """What is true once the batch is complete."""
        if self.marks.count(OPEN):
            raise SimulationFailed(f"I1: {self.marks.count(OPEN)} items are open, but it says {self.status}")
        if not self.segments:
            raise SimulationFailed("the batch ended without a checkpoint")
        if self.pending:
            raise SimulationFailed("I6: the batch is complete, but items wait for a retry")
        if self.intents.on_disk:
            raise SimulationFailed(f"the batch is complete, but {sorted(self.intents.on_disk)} are in doubt")
        if self.deferrals.on_disk:
            raise SimulationFailed(
                f"the batch is complete, but {sorted(self.deferrals.on_disk)} are deferred"
            )
        created = [event for event in self.events if event.type == "CheckpointCreated"]
        if self._day.configuration.enable_checkpointing and len(created) != len(self.segments):
            raise SimulationFailed(f"I7: {len(created)} CheckpointCreated, {len(self.segments)} segments")
        executed = [event for event in self.events if event.type == "BatchExecuted"]
        if len(executed) != self.round:
            raise SimulationFailed(f"I7: {len(executed)} BatchExecuted for {self.round} rounds")


def _copy_of(part: object) -> dict[str, Any]:
    """What a part of the store holds, to put it back."""
    return {
        name: value.copy() if isinstance(value, bytearray | dict | list | set) else value
        for name, value in vars(part).items()
    }
