"""The runtime: one loop and one completion queue around the state machine.

Nodes, the checkpoint writer and the switch post messages; the loop feeds them to the state machine and
carries out its commands. Nothing here decides anything about items.
"""

import gc
import logging
import queue
import time
from collections.abc import Callable, Sequence

from everyitem.engine.decisions import Decisions
from everyitem.engine.messages import (
    AddNode,
    CancelAsked,
    ChangeStatus,
    Command,
    Finish,
    InterruptNodes,
    Message,
    ResizeNode,
    RevokeSlice,
    RunSlice,
    SaveCheckpoint,
    StopAsked,
    TimePassed,
    Verdict,
    WakeAt,
)
from everyitem.engine.meter import Meter
from everyitem.engine.observers import Observers
from everyitem.engine.progress import Listener, RateMeter, Snapshot
from everyitem.engine.state import ExecutionState
from everyitem.engine.switch import Switch
from everyitem.engine.writer import CheckpointWriter
from everyitem.model.errors import EveryitemError
from everyitem.model.figures import Figures
from everyitem.model.resources import NodeSpec
from everyitem.model.status import ExecutionStatus
from everyitem.ports.execution import ExecutionRecord
from everyitem.ports.node import Node, NodeFailed, NodeMessage, WorkerView
from everyitem.ports.observer import Vitals
from everyitem.ports.progress import Progress, StealNow, WorkerNow

_log = logging.getLogger("everyitem")

#: Seconds between two snapshots.
TICK = 0.2

#: Workers, and causes of failures, other processes are told of.
_WORKERS_TOLD = 64
_CAUSES_TOLD = 20


class Runtime:
    """Carries one run of an execution from its first lease to its verdict."""

    def __init__(
        self,
        state: ExecutionState,
        nodes: Sequence[Node],
        record: ExecutionRecord,
        *,
        completions: queue.SimpleQueue[Message],
        writer: CheckpointWriter,
        switch: Switch,
        listener: Listener | None,
        on_stop: Callable[[], None],
        meter: Meter,
        observers: Observers,
        make_node: Callable[[NodeSpec], Node],
    ) -> None:
        """`on_stop` is called when somebody asks for the end of the run, before anything is done about it.

        `make_node` makes a node that is allocated while the run goes on.
        """
        self._make_node = make_node
        self._meter, self._observers = meter, observers
        self._state = state
        self._nodes = {node.node_id: node for node in nodes}
        self._record = record
        self._completions = completions
        self._writer = writer
        self._switch = switch
        self._listener = listener
        self._on_stop = on_stop
        self._pace = RateMeter()
        self._status = ExecutionStatus.RUNNING
        self._wake_at: float | None = None
        self._next_tick = 0.0
        self._started: set[str] = set()
        self._decisions = Decisions(state.allotment, state.pacing.breaker, observers)
        self._retried_before = record.counters.retried
        self._steals_before = record.counters.steals

    def run(self) -> Verdict:
        """Run until the verdict. Everything is saved and the nodes are closed when it returns."""
        # a batch's worth of live objects makes every collection expensive; they do not become garbage
        # while the batch runs, so the collector need not look at them
        gc.freeze()
        try:
            self._writer.put(ChangeStatus(self._status))
            # who watches hears of the execution before any of the user's code runs in it
            self._report(time.monotonic())
            for node in self._nodes.values():
                # others have nothing to do yet: they are started when they get slots
                if self._state.allotment.of(node.node_id):
                    self._start(node)
            self._switch.attach(self._completions.put)
            return self._loop()
        finally:
            self._switch.detach()
            for node in self._nodes.values():
                node.close()
            gc.unfreeze()

    def _start(self, node: Node) -> None:
        self._started.add(node.node_id)
        try:
            node.start(self._completions.put)
        except (OSError, RuntimeError) as error:
            # no more threads, processes or file descriptors: the others may still do it
            self._completions.put(NodeFailed(time.monotonic(), node.node_id, f"it cannot start: {error}"))

    def _resize(self, node: Node, slots: int) -> None:
        self._meter.resize(time.monotonic(), node.node_id, slots)
        node.resize(slots)
        if slots and node.node_id not in self._started:
            self._start(node)

    def _add(self, spec: NodeSpec) -> None:
        try:
            self._nodes[spec.node_id] = self._make_node(spec)
        except (EveryitemError, OSError) as error:
            self._completions.put(NodeFailed(time.monotonic(), spec.node_id, f"it cannot be had: {error}"))

    def _loop(self) -> Verdict:
        message: Message = TimePassed(time.monotonic())
        while True:
            if isinstance(message, StopAsked | CancelAsked):
                self._on_stop()
            elif isinstance(message, NodeMessage):
                self._meter.hear(message)
                self._observers.heard(message)
            for command in self._state.handle(message, now=time.monotonic()):
                if isinstance(command, Finish):
                    self._report(time.monotonic())
                    return command.verdict
                self._carry_out(command)
            if isinstance(message, StopAsked | CancelAsked):
                self._switch.reach()
            message = self._next_message()

    def _carry_out(self, command: Command) -> None:
        match command:
            case RunSlice():
                self._observers.leased(time.monotonic(), command.node_id, command.holder, command.lease)
                self._nodes[command.node_id].run_slice(command.holder, command.lease)
            case RevokeSlice():
                node = self._nodes[command.node_id]
                node.revoke(command.holder, command.lease_id, drains=command.drains)
            case AddNode():
                self._add(command.node)
            case ResizeNode():
                # one that could not be made has failed, and is given up next
                if (resized := self._nodes.get(command.node_id)) is not None:
                    self._resize(resized, command.slots)
            case SaveCheckpoint():
                self._writer.put(command)
            case ChangeStatus():
                self._status = command.status
                self._writer.put(command)
            case InterruptNodes():
                for node in self._nodes.values():
                    node.interrupt()
            case WakeAt():
                self._wake_at = command.at

    def _next_message(self) -> Message:
        """The next message, or `TimePassed` when the state machine asked to be woken first."""
        while True:
            now = time.monotonic()
            if now >= self._next_tick:
                self._next_tick = now + TICK
                self._decisions.tell(now)
                self._report(now)
            wake_at = self._next_tick if self._wake_at is None else min(self._wake_at, self._next_tick)
            try:
                return self._completions.get(timeout=max(0.0, wake_at - now))
            except queue.Empty:
                if self._wake_at is not None and time.monotonic() >= self._wake_at:
                    return TimePassed(time.monotonic())

    def _report(self, now: float) -> None:
        """Tell the listener and, through the writer, other processes how far we are."""
        state, ledger = self._state, self._state.ledger
        if state.verdict is not None:
            self._meter.end(now)
        self._pace.observe(now, ledger.succeeded + ledger.failed)
        eta = self._pace.eta(ledger.open)
        in_flight = state.dealer.in_flight
        seen = [(node.node_id, view) for node in self._nodes.values() for view in node.views()]
        workers = tuple(view for _, view in seen)
        wall = time.time()
        figures = self._meter.figures(
            now,
            busy=sum(view.index is not None for view in workers),
            slots=state.allotment.total,
            failed=state.accounting.tally.count,
            steals=self._steals_before + state.dealer.queues.steals,
            active=state.active_seconds(now),
        )
        self._writer.progress = Progress(
            at=wall,
            succeeded=ledger.succeeded,
            failed=ledger.failed,
            in_flight=in_flight,
            retries_waiting=len(state.retries),
            deferred=ledger.deferred,
            rate_per_second=round(self._pace.rate, 3),
            eta_seconds=None if eta is None else round(eta, 1),
            parallelism=state.allotment.total,
            active_ms=self._record.counters.active_ms + int(state.active_seconds(now) * 1000),
            workers=tuple(_shown(node_id, view, now) for node_id, view in seen[:_WORKERS_TOLD]),
            latest_steals=tuple(
                StealNow(round(wall - now + one.at, 3), one.thief, one.victim, one.items)
                for one in state.dealer.queues.latest
            ),
            causes=state.accounting.troubles.most(_CAUSES_TOLD),
            figures=figures,
        )
        self._observers.looked(now, self._vitals(self._writer.progress, figures))
        if self._listener is None:
            return
        try:
            self._listener(self._snapshot(now, eta, workers))
        except Exception:
            # who only watches must not be able to end what he watches
            _log.exception("the progress listener failed and is not called again")
            self._listener = None

    def _vitals(self, progress: Progress, figures: Figures) -> Vitals:
        state, ledger = self._state, self._state.ledger
        return Vitals(
            batch_id=self._record.batch_id,
            execution=self._record.execution,
            status=self._status,
            items=ledger.items,
            succeeded=ledger.succeeded,
            failed=ledger.failed,
            open=ledger.open,
            in_doubt=ledger.in_doubt,
            in_flight=progress.in_flight,
            retries_waiting=progress.retries_waiting,
            rate_per_second=progress.rate_per_second,
            eta_seconds=progress.eta_seconds,
            checkpoints=state.recorder.checkpoints,
            last_checkpoint_at=self._writer.last_checkpoint_at or self._record.last_checkpoint_at,
            active=progress.active_ms / 1000,
            figures=figures,
            # where it stops the run, its end says so
            tolerated=None if state.configuration.stops_on_failures else state.accounting.tally.tolerated,
            is_unsaved=state.recorder.is_waiting,
            store_is_away=self._meter.store_is_away,
        )

    def _snapshot(self, now: float, eta: float | None, workers: tuple[WorkerView, ...]) -> Snapshot:
        state, ledger = self._state, self._state.ledger
        causes = sorted(state.accounting.tally.by_cause.items(), key=lambda one: -one[1])
        return Snapshot(
            at=now,
            batch_id=self._record.batch_id,
            execution=self._record.execution,
            round=self._record.round,
            status=self._status,
            items=ledger.items,
            succeeded=ledger.succeeded,
            failed=ledger.failed,
            open=ledger.open,
            in_flight=state.dealer.in_flight,
            retries_waiting=len(state.retries),
            deferred=ledger.deferred,
            retried=self._retried_before + state.accounting.retried,
            steals=self._steals_before + state.dealer.queues.steals,
            rate_per_second=self._pace.rate,
            eta_seconds=eta,
            parallelism=state.allotment.total,
            parallelism_changes=state.allotment.changes,
            breaker=state.pacing.breaker.view,
            checkpoints=state.recorder.checkpoints,
            last_checkpoint_at=self._writer.last_checkpoint_at,
            workers=workers,
            failures_by_cause=tuple(causes),
            elapsed=state.active_seconds(now),
        )


def _shown(node_id: str, view: WorkerView, now: float) -> WorkerNow:
    busy = None if view.index is None else round(max(0.0, now - view.since), 3)
    return WorkerNow(view.worker, view.index, busy, view.done, node_id)
