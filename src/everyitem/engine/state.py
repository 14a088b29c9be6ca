"""The state machine of an execution: messages in, commands out.

No threads, no clock, no randomness, no I/O: a message carries its time, chance is handed in. The same
messages give the same commands, so the simulator plays thousands of bad days with the code that runs for
real.

Phases::

    OPEN <-> PAUSED            leases are dealt / everything unstarted is taken back
      |         |
      +--> CLOSING ----------> what runs is awaited (or interrupted), everything is saved
               |
             SAVING ---------> the last checkpoint is awaited; then Finish
"""

import math
from collections.abc import Callable, Collection, Sequence
from enum import Enum, auto

from everyitem.engine.accounting import Accounting
from everyitem.engine.allotment import Allotment
from everyitem.engine.dealer import Dealer
from everyitem.engine.deferrals import OpenDeferral
from everyitem.engine.intents import Intents
from everyitem.engine.ledger import Ledger, Mark
from everyitem.engine.messages import (
    CancelAsked,
    ChangeStatus,
    CheckpointSaved,
    Command,
    Ending,
    EventsHeard,
    Finish,
    InterruptNodes,
    Message,
    PauseAsked,
    ResourcesAllocated,
    ResumeAsked,
    RunSlice,
    SettleAsked,
    SlotsGranted,
    StopAsked,
    StoreFailed,
    TimePassed,
    Verdict,
    WakeAt,
)
from everyitem.engine.pacing import Pacing
from everyitem.engine.partitioning import assign_partitions
from everyitem.engine.recorder import Recorder
from everyitem.engine.retries import PendingAttempt, RetryHeap
from everyitem.engine.roster import Roster
from everyitem.engine.suspects import NOBODY, with_suspects
from everyitem.model.configuration import ProcessingConfiguration
from everyitem.model.errors import ErrorCode
from everyitem.model.outcome import OutcomeBlock
from everyitem.model.plan import Partition
from everyitem.model.status import ExecutionStatus
from everyitem.ports.doubt import Intent
from everyitem.ports.node import (
    HolderJoined,
    HolderLost,
    IntakeLimited,
    ItemRunsLong,
    NodeFailed,
    OutcomesArrived,
    SliceFinished,
    SliceShortened,
)
from everyitem.ports.started import Suspicion

#: After the batch timeout, items in flight get this many seconds before they are interrupted.
TIMEOUT_GRACE = 0.5


#: Endings that are moot when the last items finish while the run closes.
_OVERTAKEN = {Ending.CANCELLED, Ending.INTERRUPTED, Ending.TIMED_OUT, Ending.OUT_OF_RESOURCES}


class Phase(Enum):
    """What the execution does about work."""

    OPEN = auto()
    PAUSED = auto()
    CLOSING = auto()
    SAVING = auto()
    FINISHED = auto()


class ExecutionState:
    """Everything that is decided about one run of an execution."""

    def __init__(
        self,
        configuration: ProcessingConfiguration,
        *,
        recorded: bytearray,
        nodes: Sequence[tuple[str, int]],
        partitions: Sequence[Partition],
        at: float,
        chance: Callable[[], float],
        pending: Sequence[PendingAttempt] = (),
        recorder: Recorder | None = None,
        deadline: float = math.inf,
        isolating: Collection[str] = (),
        unit: int = 1,
        suspicion: Suspicion = NOBODY,
        intents: Sequence[Intent] = (),
        allocated: Sequence[tuple[str, int]] = (),
        least: int = 1,
        deferred: Sequence[OpenDeferral] = (),
        version: int = 0,
    ) -> None:
        """Begin a run.

        `recorded` is the durable ledger (one byte per item), `nodes` are (node id, slots) in use, `chance`
        gives uniform random numbers in [0, 1], `deadline` is when the batch timeout ends this window,
        `isolating` are the nodes on which a killer item kills only a worker process, `unit` is how many
        items one call takes (chunk processors), `suspicion` is about who may have killed earlier runs,
        `intents` are those of open items found on disk: in doubt. `allocated` are the slots nodes may grow
        to, those that have nothing to do at first included; `least` is `minParallelism`; `deferred` are the
        items that await an event; `version` is that of the allocation, 0 where nodes are the document's.
        """
        self.configuration = configuration
        self.ledger = Ledger(recorded)
        self.retries = RetryHeap()
        self.allotment = Allotment(
            nodes,
            allocated,
            least=least,
            adapts=configuration.adapts,
            at=at,
            level=configuration.parallelism_level,
            granted=configuration.granted,
        )
        self.pacing = Pacing(per_second=configuration.rate_limit, unit=unit, at=at)
        self.dealer = Dealer(
            self.ledger,
            self.retries,
            until_failure=configuration.stops_on_failures,
            isolating=[node_id for node_id in isolating if self.allotment.of(node_id)],
            unit=unit,
            together=suspicion.together,
            intent_limit=configuration.in_doubt_limit if configuration.at_most_once else None,
        )
        self.intents = Intents()
        self.recorder = recorder or Recorder(configuration, at=at)
        self.accounting = Accounting(
            configuration,
            self.ledger,
            self.retries,
            self.dealer,
            self.recorder,
            self.pacing.breaker,
            self.allotment,
            chance=chance,
            unit=unit,
            alone=[one.index for one in pending if one.alone],
        )
        self.phase = Phase.OPEN
        self.verdict: Verdict | None = None
        self._deadline = deadline
        self._interrupt_at = math.inf
        self._interrupted = False
        self._started_at = self._heard_at = at
        self._paused_at = at
        self._paused = 0.0
        self._ended_at = math.inf
        self.roster = Roster(
            self.dealer,
            self.allotment,
            self.accounting,
            self.intents,
            nodes={node_id for node_id, _ in (*nodes, *allocated)},
            isolating=isolating,
            at_most_once=configuration.at_most_once,
            version=version,
        )
        # first: what is in doubt is for a person, whoever killed whom
        self.accounting.doubts.found(intents)
        self.accounting.deferrals.found(deferred)
        #: Nothing begins before this save is durable: the next suspect may kill the process at once, and
        #: whoever was quarantined would be a suspect again.
        self._begins_after = self.accounting.quarantine(suspicion, pending)
        self._count_failures()
        self.accounting.wait(with_suspects(pending, suspicion), at)
        self._fill_queues(nodes, partitions)

    def _fill_queues(self, nodes: Sequence[tuple[str, int]], partitions: Sequence[Partition]) -> None:
        for node_id, partition in assign_partitions(partitions, nodes):
            for start, stop in self.ledger.runs(Mark.OPEN, partition.first, partition.last + 1):
                self.dealer.queues.put(node_id, start, stop)

    def handle(self, message: Message, *, now: float | None = None) -> list[Command]:
        """Take note of what happened and answer with what to do about it, in order.

        `now` (monotonic seconds) is when it is heard, where messages have waited: what is dealt begins then.
        """
        at = message.at
        self._heard_at = at if now is None else max(at, now)
        commands: list[Command] = []
        match message:
            case OutcomesArrived():
                self._account(message.holder, message.lease_id, message.block, at)
            case SliceFinished():
                self._account(message.holder, message.lease_id, message.block, at)
                self.dealer.finish(message.holder, message.lease_id, at)
            case SliceShortened():
                self.dealer.shorten(message.holder, message.lease_id, message.kept, at)
            case ItemRunsLong():
                commands += self.dealer.revoke_rest(message.holder, message.lease_id)
            case TimePassed():
                pass
            case CheckpointSaved():
                self.accounting.charges_saved(message.ticket)
                self.accounting.deferrals.saved(message.ticket, at)
                self.recorder.saved(message.ticket)
            case HolderJoined():
                self.roster.join(message)
            case HolderLost():
                commands += self.roster.lose_holder(message)
                self._count_failures()
                self._close(self.roster.shortage)
            case NodeFailed():
                commands += self.roster.lose_node(message)
                self._close(self.roster.shortage)
            case IntakeLimited():
                commands += self.roster.limit(message)
            case SlotsGranted():
                commands += self.roster.resize(self.allotment.grant(message.slots, at), at)
            case ResourcesAllocated() if self.phase in (Phase.OPEN, Phase.PAUSED):
                commands += self.roster.allocate(message.version, message.resources, at)
            case PauseAsked():
                commands += self._pause(at)
            case ResumeAsked():
                commands += self._resume(at)
            case CancelAsked():
                self._close(
                    Verdict(Ending.CANCELLED, "the execution was cancelled", ErrorCode.EXECUTION_ERROR)
                )
                self._interrupt_at = min(self._interrupt_at, at + self.configuration.drain)
            case SettleAsked():
                self.accounting.settle(message.settlement, at)
            case EventsHeard() if self.phase in (Phase.OPEN, Phase.PAUSED):
                # in a pause nothing runs out of time: what would follow could not be done
                up_to = message.up_to if self.phase is Phase.OPEN else None
                self.accounting.hear(message.completions, at, up_to=up_to)
                self._count_failures()
            case StopAsked():
                self._close(Verdict(Ending.INTERRUPTED, f"stopped by {message.reason}"))
                wait = 0.0 if message.at_once else self.configuration.drain
                self._interrupt_at = min(self._interrupt_at, at + wait)
            case StoreFailed():
                return self._store_failed(message)
        commands += self._advance(at)
        return commands

    def _account(self, holder: str, lease_id: int, block: OutcomeBlock, at: float) -> None:
        self.accounting.account(holder, lease_id, block, at)
        self._count_failures()

    def _count_failures(self) -> None:
        """Too many final failures end the batch."""
        tally = self.accounting.tally
        if tally.is_decided():
            self._close(tally.verdict())

    # -- leases -----------------------------------------------------------------------------------

    def _deal(self, at: float) -> Sequence[Command]:
        """New leases; under at-most-once those that need no intent any more are told, others wait for it."""
        allowance = self.pacing.allowance(at, self.dealer)
        # not `at`: waiting for us says nothing about how fast a holder is
        dealt = self.dealer.deal(self._heard_at, allowance)
        self.pacing.dealt(
            sum(len(command.lease.indices) for command in dealt if isinstance(command, RunSlice)),
            more_wanted=self.dealer.wants_more,
        )
        if not self.configuration.at_most_once:
            return dealt
        told: list[Command] = []
        for command in dealt:
            if isinstance(command, RunSlice):
                lease = command.lease
                ticket = self.recorder.intend(Intent(index, lease.attempt) for index in lease.indices)
                self.intents.hold(ticket, command)
            else:
                told.append(command)
        return told

    # -- phases -----------------------------------------------------------------------------------

    def _pause(self, at: float) -> list[Command]:
        if self.phase is not Phase.OPEN:
            return []
        self.phase = Phase.PAUSED
        self._paused_at = at
        self.roster.take_back(at)
        return [*self.dealer.revoke_all(), ChangeStatus(ExecutionStatus.PAUSED)]

    def _resume(self, at: float) -> list[Command]:
        if self.phase is not Phase.PAUSED:
            return []
        # the batch timeout counts active time only
        self._deadline += at - self._paused_at
        self._stand_still(at)
        self.phase = Phase.OPEN
        self.allotment.stand_still(at)
        self.pacing.breaker.goes_on(at)
        return [ChangeStatus(ExecutionStatus.RUNNING)]

    def _stand_still(self, at: float) -> None:
        """A pause, if there is one, ends here."""
        if self.phase is Phase.PAUSED:
            self._paused += at - self._paused_at

    def _close(self, verdict: Verdict | None) -> None:
        """Start nothing more, where there is a reason to end; the first one is reported."""
        if self.verdict is None:
            self.verdict = verdict

    def _store_failed(self, message: StoreFailed) -> list[Command]:
        """Nothing can be recorded any more: interrupt and answer; a resume continues."""
        if self.phase is Phase.FINISHED:
            return []
        self._stand_still(message.at)
        self.phase = Phase.FINISHED
        self._ended_at = message.at
        self.verdict = Verdict(Ending.STORE_FAILED, message.reason, message.code)
        return [InterruptNodes(), Finish(self.verdict)]

    def active_seconds(self, at: float) -> float:
        """Seconds this run has been active: pauses excluded, and whatever follows its end."""
        at = min(at, self._ended_at)
        paused = self._paused + (at - self._paused_at if self.phase is Phase.PAUSED else 0.0)
        return max(0.0, at - self._started_at - paused)

    def _advance(self, at: float) -> list[Command]:
        """What follows from where we stand now."""
        if self.phase is Phase.FINISHED:
            return []
        commands: list[Command] = []
        self.retries.release(at)
        if at >= self._deadline and self.phase is not Phase.PAUSED:
            text = f"the batch timeout of {self.configuration.timeout / 3600:g} h is over"
            self._close(Verdict(Ending.TIMED_OUT, text, ErrorCode.TIMEOUT_ERROR))
            self._interrupt_at = min(self._interrupt_at, self._deadline + TIMEOUT_GRACE)
        if self.phase is Phase.OPEN and at >= self._outage_ends:
            self._close(_out_of_patience(self.configuration.outage_patience, self.pacing.breaker.view.named))
        if self.ledger.open == 0:
            self._close(Verdict(Ending.COMPLETED))
        elif self.ledger.open == self.ledger.in_doubt:
            self._close(self.accounting.doubts.verdict())
        if self.verdict is not None and self.phase in (Phase.OPEN, Phase.PAUSED):
            self._stand_still(at)
            self.phase = Phase.CLOSING
            self.roster.take_back(at)
            commands += self.dealer.revoke_all()
            # every ending but an interruption asked for drains in bounded time
            self._interrupt_at = min(self._interrupt_at, at + self.configuration.drain)
        if self.phase is Phase.OPEN and self.configuration.at_most_once:
            # here, not as soon as the disk has them: by then the batch may be over
            for command in self.intents.issue(self.recorder.confirmed):
                self.dealer.issue(command.holder, command.lease.lease_id)
                commands.append(command)
        if self.phase is Phase.OPEN:
            commands += self._adapt(at)
        is_told = self.recorder.confirmed >= self._begins_after
        if self.phase is Phase.OPEN and self.recorder.has_room and is_told:
            commands += self._deal(at)
        if self.phase is Phase.PAUSED and self.dealer.is_idle and not self.recorder.is_empty:
            self.recorder.cut_soon()
        if self.phase is Phase.CLOSING:
            commands += self._drain(at)
        if given_back := self.dealer.take_given_back():
            self.recorder.withdraw(index for index in given_back if self.ledger.mark(index) != Mark.LEASED)
        commands += self.recorder.advance(
            at,
            retried=self.accounting.retried,
            steals=self.dealer.queues.steals,
            busy_us=self.accounting.busy_us,
        )
        if self.phase is Phase.SAVING and self.recorder.all_saved and self.verdict is not None:
            self.phase = Phase.FINISHED
            self._ended_at = at
            return [*commands, Finish(self.verdict)]
        return [*commands, WakeAt(self._wake_at(at))]

    @property
    def _outage_ends(self) -> float:
        """When an outage has lasted for as long as it is waited for."""
        return self.pacing.breaker.idle_since + self.configuration.outage_patience

    def _adapt(self, at: float) -> list[Command]:
        """Let the number of slots follow what was observed, where nothing else explains that."""
        is_starting = self.allotment.awaits_slots(at) and self.dealer.slots < self.allotment.total
        if is_starting or not self.pacing.is_undisturbed:
            self.allotment.stand_still(at)
            return []
        return self.roster.resize(self.allotment.look(at), at)

    def _drain(self, at: float) -> list[Command]:
        if self.dealer.is_idle:
            self.phase = Phase.SAVING
            self.recorder.cut_last()
            if self.ledger.open == 0 and self.verdict and self.verdict.ending in _OVERTAKEN:
                self.verdict = Verdict(Ending.COMPLETED)
            return []
        if at >= self._interrupt_at and not self._interrupted:
            self._interrupted = True
            return [InterruptNodes()]
        return []

    def _wake_at(self, at: float) -> float | None:
        times = [self.recorder.next_cut()]
        if self.phase is Phase.OPEN:
            times += [self.retries.next_due(), self.retries.group_due(), self._deadline, self._outage_ends]
            times += self.pacing.next_at()
        elif self.phase is Phase.CLOSING and not self._interrupted:
            times.append(self._interrupt_at)
        # a moment that has passed already needs no waking: whatever it waits for sends a message
        coming = [time for time in times if time is not None and at < time < math.inf]
        return min(coming, default=None)


def _out_of_patience(seconds: float, cause: str) -> Verdict:
    text = (
        f"nothing has succeeded for {seconds:g} s (outagePatienceSeconds) in an outage of what items depend "
        f"on ({cause}); no item failed by it, resume the batch when it is over"
    )
    return Verdict(Ending.OUT_OF_RESOURCES, text, ErrorCode.RESOURCE_ERROR)
