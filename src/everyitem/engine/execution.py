"""One run of an execution, told in the specification's steps (section 4)."""

import dataclasses
import logging
import queue
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from everyitem.engine.commits import CommitBuilder
from everyitem.engine.consolidation import answer
from everyitem.engine.ledger import Mark
from everyitem.engine.messages import Ending, Message, Verdict
from everyitem.engine.meter import Meter, StoreMeter
from everyitem.engine.observers import Observers
from everyitem.engine.progress import Listener
from everyitem.engine.resumption import (
    active_milliseconds,
    begin_run,
    closing_commit,
    counters_at_end,
    counters_at_start,
    status_at_end,
    wall_at_start,
)
from everyitem.engine.roster import ISOLATING
from everyitem.engine.runtime import Runtime
from everyitem.engine.state import ExecutionState
from everyitem.engine.switch import Switch
from everyitem.engine.totals import RunningTotals
from everyitem.engine.writer import CheckpointWriter
from everyitem.failpoints import Failpoint, passing
from everyitem.model.batch import ProcessingBatch
from everyitem.model.errors import ErrorCode, EveryitemError, StoreDamaged, StoreError
from everyitem.model.figures import Figures
from everyitem.model.plan import plan_partitions
from everyitem.model.resources import NodeSpec, spread
from everyitem.model.response import ErrorResponse, Response
from everyitem.model.status import ExecutionStatus, may_move
from everyitem.ports.checkpoint import Commit, Counters
from everyitem.ports.execution import ExecutionRecord, Recorded
from everyitem.ports.node import Node
from everyitem.ports.observer import RunView
from everyitem.ports.progress import Progress
from everyitem.ports.started import NothingStarted, StartedItems, Suspicion
from everyitem.ports.store import Ownership, Store

_log = logging.getLogger("everyitem")

#: Makes the nodes of a batch, each with the number of slots it begins with.
BuildNodes = Callable[[ProcessingBatch, ExecutionRecord, dict[str, int]], Sequence[Node]]


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What came of asking for an execution."""

    record: ExecutionRecord
    status: ExecutionStatus
    #: None when the run was stopped before the end (INTERRUPTED).
    response: Response | None
    #: False when a recorded response was returned and nothing ran here.
    fresh: bool = True
    #: Another process executed it; this one waited.
    attached: bool = False


class Execution:
    """Owns one run: from what is recorded to a recorded response."""

    def __init__(
        self,
        store: Store,
        record: ExecutionRecord,
        ownership: Ownership,
        batch: ProcessingBatch,
        *,
        build_nodes: BuildNodes,
        switch: Switch | None = None,
        listener: Listener | None = None,
        accept_damage: bool = False,
        recovering: bool = False,
        unit: int = 1,
        started: StartedItems | None = None,
        meter: StoreMeter | None = None,
        observers: Observers | None = None,
        traceparent: str = "",
    ) -> None:
        """`recovering`: nobody asked for this run, so it goes on in the window of the run that died.

        `unit` is how many items one call of the item processor takes, `started` is where nodes of this
        process note what they start, `meter` is told by whoever asks the store,
        `traceparent` is the trace its events belong to.
        """
        self._store, self._record, self._ownership, self._batch = store, record, ownership, batch
        self._build_nodes = build_nodes
        self._switch = switch or Switch()
        self._listener = listener
        self._accept_damage = accept_damage
        self._recovering = recovering
        self._unit = unit
        self._started = started or NothingStarted()
        before = record.progress.figures if record.progress is not None else Figures()
        self._store_meter = meter or StoreMeter()
        self._store_meter.go_on_from(before)
        self._before = before
        self._observers = observers or Observers(())
        self._traceparent = traceparent
        self._counters = record.counters
        #: Version of the allocation the nodes are from, 0 where they are the document's.
        self._allocated = 0
        self._writer: CheckpointWriter | None = None
        self._totals = RunningTotals(batch.items, {})
        #: The last commit, from the moment on at which it may be recorded, and whether it is known to be.
        self._closing: Commit | None = None
        self._is_recorded = False

    def run(self) -> Conclusion:
        """Carry the run out. Ownership is given back on every way out.

        Raises `StoreDamaged` when what is recorded cannot be trusted, `StoreError` when the store is out
        of reach, and whatever the nodes cannot be built for (`EveryitemError`).
        """
        self._observers.began(self._view())
        try:
            recorded = self._initialize()
            self._allocate()
            suspicion = self._suspect(recorded)
            slots = spread(self._parallelism, self._batch.resources.nodes)
            nodes = self._distribute(slots)
            counters = self._begin_totals(recorded, self._counters_at_start(recorded))
            state = self._partition(recorded, slots, counters, suspicion)
            verdict = self._process_items(state, nodes, recorded.last_sequence, slots)
            conclusion = self._consolidate(verdict)
            self._tell_end(conclusion)
            return conclusion
        except BaseException as error:
            self._give_back(ExecutionStatus.INTERRUPTED)
            code = error.code if isinstance(error, EveryitemError) else ErrorCode.SYSTEM_ERROR
            self._observers.ended(ExecutionStatus.INTERRUPTED, code, str(error) or repr(error))
            raise
        finally:
            # not reached when the process dies, which is what the file is for
            self._started.end()

    def _initialize(self) -> Recorded:
        """Prove the checkpoint chain and take what is recorded."""
        key = self._record.execution_key
        if self._accept_damage and self._batch.configuration.at_most_once:
            try:
                return self._store.recorded(key)
            except StoreDamaged as error:
                raise StoreDamaged(
                    f"{str(error).partition(';')[0]}; its items may have been called, and at-most-once "
                    "does not run them again: restore the store from a copy, or rerun the batch"
                ) from error
        return self._store.recorded(key, accept_damage=self._accept_damage)

    def _allocate(self) -> None:
        """Use what was allocated meanwhile instead of what the document names."""
        allocation = self._ownership.allocation()
        if allocation is not None:
            resources = allocation.applied_to(self._batch.resources)
            self._batch = dataclasses.replace(self._batch, resources=resources)
            self._allocated = allocation.version

    @property
    def _parallelism(self) -> int:
        """Items at once at the start: more slots may be there than when the document was read."""
        configuration = self._batch.configuration
        asked = max(configuration.parallelism, configuration.parallelism_level or 0)
        if configuration.granted is None:
            return asked
        # a fixed number is what it was fixed at last, and who grants knows of that
        return min(asked, configuration.granted) if configuration.adapts else configuration.granted

    def _suspect(self, recorded: Recorded) -> Suspicion:
        """Hear whom the death of an earlier run makes suspicious, and have it noted what this one starts."""
        # the very marks the state machine will keep: what is open when this is asked is open then
        marks = recorded.ledger
        # under at-most-once what was in flight is in doubt, and does not run again by itself
        runs_again = not self._batch.configuration.at_most_once
        suspicion = self._started.begin(
            self._ownership.token,
            lambda index: runs_again and marks[index] not in (Mark.SUCCEEDED, Mark.FAILED),
        )
        if suspicion.suspects:
            _log.warning(
                "%d items were in flight when an earlier run of batch %r died; they run by themselves first",
                len(suspicion.suspects),
                self._record.batch_id,
            )
        return suspicion

    def _distribute(self, slots: dict[str, int]) -> Sequence[Node]:
        """Make the nodes; they start once the state machine is there to hear them."""
        return self._build_nodes(self._batch, self._record, slots)

    def _counters_at_start(self, recorded: Recorded) -> Counters:
        """The totals this run goes on from."""
        key, round_ = self._record.execution_key, self._record.round
        begins_round = round_ > 1 and not any(one.round == round_ for one in self._store.segments(key))
        return counters_at_start(recorded, begins_round=begins_round, recovering=self._recovering)

    def _begin_totals(self, recorded: Recorded, counters: Counters) -> Counters:
        """Sum the control totals as they stand and have them on disk before anything moves them."""
        names = self._batch.configuration.control_totals
        self._totals = RunningTotals.begin(names, self._batch.items, recorded.ledger)
        counters = replace(counters, totals=dict(self._totals.balances))
        if names:
            self._ownership.commit(Commit(counters=counters))
        return counters

    def _partition(
        self, recorded: Recorded, slots: dict[str, int], counters: Counters, suspicion: Suspicion
    ) -> ExecutionState:
        """Plan who starts with which items, leaving out what has an outcome."""
        self._counters = counters
        return begin_run(
            self._batch.configuration,
            recorded,
            counters,
            nodes=[(node_id, count) for node_id, count in slots.items() if count],
            allocated=[(node.node_id, node.slots) for node in self._batch.resources.nodes],
            least=self._batch.resources.min_parallelism,
            version=self._allocated,
            partitions=plan_partitions(
                self._batch.plan, count=len(recorded.ledger), workers=sum(slots.values())
            ),
            at=time.monotonic(),
            wall=wall_at_start(self._record, time.time()),
            chance=random.random,
            unit=self._unit,
            suspicion=suspicion,
            isolating=[node.node_id for node in self._batch.resources.nodes if node.kind in ISOLATING],
        )

    def _process_items(
        self, state: ExecutionState, nodes: Sequence[Node], last_sequence: int, slots: dict[str, int]
    ) -> Verdict:
        """Run the loop until the verdict."""
        completions: queue.SimpleQueue[Message] = queue.SimpleQueue()
        before = self._counters
        meter = Meter(
            self._before,
            slots=slots,
            store=self._store_meter,
            window_used=(before.active_ms - before.window_ms) / 1000,
            window=self._batch.configuration.timeout,
        )

        def saved(began: float, ended: float, commit: Commit) -> None:
            meter.saved(ended - began)
            self._observers.saved(began, ended, len(commit.segments))
            if commit.failed:
                self._observers.failed(commit.failed)

        self._writer = CheckpointWriter(
            self._ownership,
            CommitBuilder(
                self._record,
                self._batch.items,
                last_sequence=last_sequence,
                events=self._batch.configuration.enable_checkpointing,
                totals=self._totals,
                traceparent=self._traceparent,
            ),
            completions.put,
            active_ms=lambda: active_milliseconds(before, state, time.monotonic()),
            on_saved=saved,
            awaits_events=lambda: state.ledger.deferred > 0,
            resources=self._batch.resources,
            version=self._allocated,
        )
        self._writer.start()
        runtime = Runtime(
            state,
            nodes,
            replace(self._record, counters=before),
            completions=completions,
            writer=self._writer,
            switch=self._switch,
            listener=self._listener,
            on_stop=self._started.excuse,
            meter=meter,
            observers=self._observers,
            make_node=self._make_node,
        )
        verdict = runtime.run()
        self._batch = dataclasses.replace(self._batch, resources=self._writer.resources)
        self._counters = counters_at_end(before, state, time.monotonic())
        return verdict

    def _make_node(self, spec: NodeSpec) -> Node:
        """A node that is allocated while the run goes on; it begins with no slots."""
        resources = dataclasses.replace(self._batch.resources, nodes=(spec,))
        batch = dataclasses.replace(self._batch, resources=resources)
        (node,) = self._build_nodes(batch, self._record, {spec.node_id: 0})
        return node

    @property
    def _progress(self) -> Progress | None:
        """How the run was when it was looked at last."""
        return None if self._writer is None else self._writer.progress

    def _tell_end(self, conclusion: Conclusion) -> None:
        response = conclusion.response
        if isinstance(response, ErrorResponse):
            self._observers.ended(conclusion.status, response.error_code, response.error_message)
        else:
            self._observers.ended(conclusion.status, "", "")

    def _view(self) -> RunView:
        return RunView(
            execution_key=self._record.execution_key,
            batch_id=self._record.batch_id,
            execution=self._record.execution,
            round=self._record.round,
            run=self._record.runs,
            processor=self._record.processor,
            items=len(self._batch.items),
            began_at=time.time(),
            traceparent=self._traceparent,
        )

    def _consolidate(self, verdict: Verdict) -> Conclusion:
        """Check, answer, and record the answer with its event in one transaction."""
        if self._writer is not None:
            # a change of state that still waits there must not come after the last one
            self._writer.flush()
        self._counters = replace(self._counters, totals=dict(self._totals.balances))
        if verdict.ending is Ending.INTERRUPTED:
            commit = closing_commit(self._record, self._counters, verdict, at=time.time())
            commit.progress = self._progress
            self._record_end(commit)
            return self._conclude(ExecutionStatus.INTERRUPTED, None)
        figures = self._before if self._progress is None else self._progress.figures
        response = answer(
            self._store,
            self._record,
            self._batch,
            self._counters,
            verdict,
            figures,
            notice=lambda condition: self._observers.noticed(condition, stands=True),
        )
        if verdict.ending is Ending.STORE_FAILED:
            # nothing can be recorded: say so, leave everything resumable
            self._give_back(ExecutionStatus.INTERRUPTED)
            return Conclusion(self._record, ExecutionStatus.FAILED, response)
        closing = closing_commit(
            self._record,
            self._counters,
            verdict,
            response=response.to_json(),
            success=response.is_success,
            at=time.time(),
        )
        closing.progress, closing.traceparent = self._progress, self._traceparent
        passing(Failpoint.ANSWER_DERIVED)
        self._record_end(closing)
        status = status_at_end(verdict, self._counters, success=response.is_success)
        return self._conclude(status, response)

    def _record_end(self, closing: Commit) -> None:
        self._closing = closing
        self._ownership.commit(closing)
        self._is_recorded = True

    def _conclude(self, status: ExecutionStatus, response: Response | None) -> Conclusion:
        self._stop_writer()
        self._ownership.release()
        record = self._store.find(self._record.batch_id, self._record.execution) or self._record
        return Conclusion(record, status, response)

    def _stop_writer(self) -> None:
        """The writer renews the ownership until everything, the response included, is recorded."""
        if self._writer is not None:
            self._writer.stop()
            self._writer = None

    def _give_back(self, status: ExecutionStatus) -> None:
        """Give ownership back as well as still possible; a lost or unreachable one needs no giving back.

        What could not even begin leaves the execution as it was, and so does one whose end is recorded: else
        it would be ended, answered and announced a second time.
        """
        began = self._writer is not None
        self._stop_writer()
        try:
            if self._closing is not None:
                if not self._is_recorded:
                    # perhaps only its answer was lost: who repeats it learns that, or that the store is away
                    self._record_end(self._closing)
                self._ownership.release()
            else:
                self._ownership.release(status if began or may_move(self._record.status, status) else None)
        except StoreError as error:
            _log.debug("ownership of %s could not be given back: %s", self._record.batch_id, error)
