"""Measuring a run: what nodes, store and checkpoints did, summed up as `Figures`.

Pure but for a lock: it is told the time with everything it hears. Nodes are measured by the messages the
engine hears from them, the store by every question it is asked.
"""

import threading

from everyitem.model.figures import LATENCY_BOUNDS, Availability, Figures, Timings, add_latencies
from everyitem.model.outcome import OutcomeBlock
from everyitem.ports.node import (
    HolderJoined,
    HolderLost,
    NodeFailed,
    NodeMessage,
    OutcomesArrived,
    SliceFinished,
)


class StoreMeter:
    """How the store answers. Told by any thread, of its own questions."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._answers, self._errors, self._availability = Timings(), 0, Availability()
        #: Monotonic seconds: up to when everything is summed up, and whose questions are not answered now.
        self._seen: float | None = None
        self._unanswered: set[int] = set()

    def go_on_from(self, before: Figures) -> None:
        """Add what earlier runs measured."""
        with self._guard:
            self._answers = self._answers.after(before.store)
            self._errors += before.store_errors
            self._availability = self._availability.after(before.store_availability)

    def asked(self, began: float, ended: float, *, answered: bool) -> None:
        """A question of this thread came to an end. While a thread has none answered the store is away."""
        me = threading.get_ident()
        with self._guard:
            # what no question is about counts as it was at the last answer
            self._sum_up(began if not answered else ended)
            if answered:
                self._answers = self._answers.and_one(ended - began)
                self._unanswered.discard(me)
            else:
                self._errors += 1
                self._unanswered.add(me)
                self._sum_up(ended)

    @property
    def is_away(self) -> bool:
        """Whether somebody waits for an answer that has failed to come at least once."""
        return bool(self._unanswered)

    def figures(self, at: float) -> tuple[Timings, int, Availability]:
        """Answers, errors and availability by now."""
        with self._guard:
            self._sum_up(at)
            return self._answers, self._errors, self._availability

    def _sum_up(self, at: float) -> None:
        if self._seen is None:
            self._seen = at
        passed = max(0.0, at - self._seen)
        up, down = self._availability.up, self._availability.down
        self._availability = (
            Availability(up, down + passed) if self._unanswered else Availability(up + passed, down)
        )
        self._seen = max(self._seen, at)


class NodeMeter:
    """How much of the slots nodes began with is there, from each node's first worker on."""

    def __init__(self, before: Availability, slots: dict[str, int]) -> None:
        #: Slots each node began with, and those of them it uses.
        self._began, self._slots = dict(slots), dict(slots)
        self._availability = before
        #: Slots there now, by node and holder; nodes that have begun or failed.
        self._there: dict[str, dict[str, int]] = {}
        self._node_of: dict[str, str] = {}
        self._seen: float | None = None

    def hear(self, message: NodeMessage) -> None:
        """Holders come and go."""
        match message:
            case HolderJoined():
                self.availability(message.at)
                self._there.setdefault(message.node_id, {})[message.holder] = message.slots
                self._node_of[message.holder] = message.node_id
            case HolderLost():
                self.availability(message.at)
                self._there.get(self._node_of.pop(message.holder, ""), {}).pop(message.holder, None)
            case NodeFailed():
                self.availability(message.at)
                self._there[message.node_id] = {}

    def resize(self, at: float, node_id: str, slots: int) -> None:
        """A node uses so many slots from now on; what it does not use is not missing."""
        self.availability(at)
        self._slots[node_id] = min(self._began.setdefault(node_id, slots), slots)

    def availability(self, at: float) -> Availability:
        """Slot seconds by now."""
        if self._seen is not None and at > self._seen:
            needed = there = 0
            for node_id, holders in self._there.items():
                slots = self._slots.get(node_id, 0)
                needed += slots
                there += min(slots, sum(holders.values()))
            passed = at - self._seen
            self._availability = Availability(
                self._availability.up + there * passed, self._availability.down + (needed - there) * passed
            )
        self._seen = at if self._seen is None else max(self._seen, at)
        return self._availability

    @property
    def total(self) -> Availability:
        """Slot seconds as of the last look."""
        return self._availability


class Meter:
    """Sums up one run, going on from what earlier runs of the execution measured."""

    def __init__(
        self, before: Figures, *, slots: dict[str, int], store: StoreMeter, window_used: float, window: float
    ) -> None:
        """`window_used` and `window`: active seconds of the batch timeout's window, used up and in all."""
        self._before = before
        self._store = store
        self._nodes = NodeMeter(before.node_availability, slots)
        self._latency = list(before.latency)
        if len(self._latency) != len(LATENCY_BOUNDS) + 1:  # written with other classes
            self._latency = [0] * (len(LATENCY_BOUNDS) + 1)
        self._latency_us = round(before.latency_total * 1e6)
        self._failed_attempts = 0
        self._workers_lost, self._nodes_failed = before.workers_lost, before.nodes_failed
        self._checkpoint = before.checkpoint
        self._window_used, self._window = window_used, window
        self._is_ending = False

    def hear(self, message: NodeMessage) -> None:
        """One message of a node."""
        match message:
            case OutcomesArrived() | SliceFinished():
                self._take(message.block)
                return
            case HolderLost():
                self._take(message.block)
                self._workers_lost += not self._is_ending
            case NodeFailed():
                self._nodes_failed += not self._is_ending
        if not self._is_ending:
            self._nodes.hear(message)

    def resize(self, at: float, node_id: str, slots: int) -> None:
        """A node uses so many slots from now on."""
        if not self._is_ending:
            self._nodes.resize(at, node_id, slots)

    def end(self, at: float) -> None:
        """Workers that go from now on are not missing."""
        if not self._is_ending:
            self._nodes.availability(at)
            self._is_ending = True

    @property
    def store_is_away(self) -> bool:
        """Whether the store has not answered when it was asked last."""
        return self._store.is_away

    def saved(self, seconds: float) -> None:
        """A checkpoint is durable; told by the writer's thread."""
        self._checkpoint = self._checkpoint.and_one(seconds)

    def figures(
        self, at: float, *, busy: int, slots: int, failed: int, steals: int, active: float
    ) -> Figures:
        """All of it. `failed` final failures and `active` seconds are of this run, `steals` of all."""
        store, errors, store_availability = self._store.figures(at)
        return Figures(
            latency=tuple(self._latency),
            latency_total=self._latency_us / 1e6,
            retries=self._before.retries + max(0, self._failed_attempts - failed),
            steals=steals,
            busy=busy,
            slots=slots,
            workers_lost=self._workers_lost,
            nodes_failed=self._nodes_failed,
            checkpoint=self._checkpoint,
            store=store,
            store_errors=errors,
            store_availability=store_availability,
            node_availability=self._nodes.availability(at) if not self._is_ending else self._nodes.total,
            window_used=self._window_used + active,
            window=self._window,
        )

    def _take(self, block: OutcomeBlock) -> None:
        for run in block.successes:
            add_latencies(self._latency, run.durations_us)
            self._latency_us += sum(run.durations_us)
        for failure in block.failures:
            add_latencies(self._latency, (failure.duration_us,))
            self._latency_us += failure.duration_us
        self._failed_attempts += len(block.failures)
