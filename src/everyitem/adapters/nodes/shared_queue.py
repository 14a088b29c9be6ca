"""The queue the slots of a thread or async node share: what is unclaimed, claimed, and done.

The node's slots claim a few items at a time without asking the engine. A claim is a contiguous piece of a
lease; it ends when its slot hands in what came of it, or when the watcher gives up on the slot. Outcomes
gather here and leave in blocks. One lock guards everything; it is held for microseconds (a flush: about
half a millisecond), and messages are posted under it, so that they leave in the order things happened.
"""

import math
import sys
import time
from collections import deque
from collections.abc import Callable
from threading import Condition, Lock

from everyitem.model.items import Items
from everyitem.model.outcome import Failure, OutcomeBlock, Successes
from everyitem.ports.node import (
    HolderLost,
    Lease,
    OutcomesArrived,
    Post,
    SliceFinished,
    SliceShortened,
)
from everyitem.work.directory import WorkingDirectory
from everyitem.work.failures import is_final
from everyitem.work.loop import NEVER
from everyitem.work.outcomes import StretchOutcomes, join_outcomes
from everyitem.work.stretch import MAX_ITEMS, Stretch
from everyitem.work.window import CANCELLED, END, STARTED, new_window

#: Outcomes leave at the latest when so many have gathered ...
FLUSH_ITEMS = 1_000
#: ... or the oldest of them has waited so long (seconds).
FLUSH_AFTER = 0.01


#: Claims of so few items are joined with others before their results are checked.
JOINED_ITEMS = 8


class Claim:
    """A piece of a lease one slot works on: positions `stretch.first` up to `window[END]`."""

    __slots__ = (
        "begun",
        "held",
        "is_over",
        "is_trimmed",
        "outcomes",
        "owner",
        "stop_at",
        "stretch",
        "until_failure",
        "window",
    )

    def __init__(self, owner: object, held: "_HeldLease", stretch: Stretch, begun: int) -> None:
        #: The worker it was handed to.
        self.owner = owner
        self.held = held
        self.stretch = stretch
        self.window = new_window(stretch.first, stretch.stop)
        self.outcomes = StretchOutcomes()
        self.stop_at = held.stop_at
        self.until_failure = held.lease.until_failure
        #: When it was claimed, `time.monotonic_ns()`.
        self.begun = begun
        #: Handed in, or given up by the watcher: whatever else comes of it is dropped.
        self.is_over = False
        #: The watcher already took back what was unstarted.
        self.is_trimmed = False

    @property
    def index(self) -> int:
        """Index of the item it runs now, as seen from another thread: may be one item behind."""
        position = min(self.window[STARTED], self.stretch.stop - 1)
        return self.stretch.index_at(max(position, self.stretch.first))


class _HeldLease:
    """A lease in the queue, with the positions nobody has claimed yet and what came of the others."""

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        #: Unclaimed (first, stop, singly) in the order to hand out; `singly`: one item per claim.
        self.unclaimed: deque[tuple[int, int, bool]] = deque([(0, len(lease.indices), False)])
        self.claims: list[Claim] = []
        #: `time.monotonic_ns()` after which no item starts; set by the first claim.
        self.stop_at = NEVER
        self.is_begun = False
        #: A final failure ended it: nothing of it starts any more.
        self.is_stopped = False
        #: Position behind the last one ever started.
        self.reached = 0
        self.blocks: list[OutcomeBlock] = []
        #: Outcomes of small claims, to be joined to a block when they leave.
        self.finished: list[StretchOutcomes] = []

    @property
    def is_over(self) -> bool:
        return not self.claims and not self.unclaimed

    def begin(self, now: int) -> None:
        if not self.is_begun:
            self.is_begun = True
            if math.isfinite(self.lease.budget):
                self.stop_at = now + int(self.lease.budget * 1e9)

    def take(self, most: int) -> tuple[int, int]:
        """The next unclaimed positions, at most `most`."""
        first, stop, singly = self.unclaimed.popleft()
        taken = min(stop, first + (1 if singly else most))
        if taken < stop:
            self.unclaimed.appendleft((taken, stop, singly))
        return first, taken

    def give_back(self, first: int, stop: int, *, singly: bool = False) -> None:
        """Put unstarted positions back to the front."""
        if first < stop and not self.is_stopped:
            self.unclaimed.appendleft((first, stop, singly))

    def take_block(self) -> OutcomeBlock:
        """Everything that came of it since the last time, as one block."""
        blocks = [*self.blocks, join_outcomes(self.finished)] if self.finished else self.blocks
        self.blocks, self.finished = [], []
        return merge_blocks(blocks)

    def cut(self, kept: int) -> None:
        """Forget the unclaimed positions from `kept` on."""
        self.unclaimed = deque(
            (first, min(stop, kept), singly) for first, stop, singly in self.unclaimed if first < kept
        )


class SharedQueue:
    """Leases in, claims out; outcomes in, blocks out. All methods may be called from any thread."""

    def __init__(
        self,
        holder: str,
        *,
        items: Items,
        clock: Callable[[], float],
        max_attempts: int,
        on_work: Callable[[int], None],
    ) -> None:
        """`on_work(n)` is called under the lock when n items can be claimed; many when the queue closes."""
        self._holder, self._items, self._clock = holder, items, clock
        self._max_attempts, self._on_work = max_attempts, on_work
        self._directory = WorkingDirectory()
        self._lock = Lock()
        #: Idle threads wait on this one.
        self.changed = Condition(self._lock)
        self._held: dict[int, _HeldLease] = {}
        self._post: Post = _discard
        self._gathered = 0
        self._flush_due = NEVER
        self._is_closed = False
        #: Outcomes of given-up items that came in too late and were dropped.
        self.dropped = 0

    def open(self, post: Post) -> None:
        """From now on, messages go to `post`."""
        self._post = post

    @property
    def is_closed(self) -> bool:
        return self._is_closed

    @property
    def is_busy(self) -> bool:
        """Whether it holds a lease: whether there is something to watch."""
        return bool(self._held)

    def add(self, lease: Lease) -> None:
        """Queue a lease."""
        with self._lock:
            if self._is_closed:
                return
            held = self._held[lease.lease_id] = _HeldLease(lease)
            if not lease.indices:
                held.unclaimed.clear()
                self._flush()
            self._on_work(len(lease.indices))

    def claim(self, owner: object, most: int) -> Claim | None:
        """The next items for worker `owner`, at most `most` of one lease; None: nothing to do now."""
        with self._lock:
            return self._claim(owner, most)

    def wait_and_claim(self, owner: object, most: int) -> Claim | None:
        """As `claim`, waiting for work; None when the queue was closed."""
        with self._lock:
            while (claim := self._claim(owner, most)) is None and not self._is_closed:
                self.changed.wait()
            return claim

    def _claim(self, owner: object, most: int) -> Claim | None:
        now = time.monotonic_ns()
        for held in list(self._held.values()) if self._held else ():
            if not held.unclaimed:
                continue
            if now >= held.stop_at:
                # out of time: what nobody started is given back by being absent
                held.unclaimed.clear()
                self._flush()
                continue
            held.begin(now)
            first, stop = held.take(most)
            indices = held.lease.indices[first:stop]
            stretch = Stretch(self._items.text(indices), indices, first=first, attempt=held.lease.attempt)
            claim = Claim(owner, held, stretch, now)
            held.claims.append(claim)
            return claim
        if self._gathered:
            # the slot goes idle: nothing may wait here for company that might not come
            self._flush()
        return None

    def hand_in(self, claim: Claim, stopped: int) -> bool:
        """A slot is done with its claim, having stopped before position `stopped`; False: it was given up."""
        # A few slow items are checked and joined with others when they leave; many quick ones here, where
        # no other slot waits for it. What may end the lease must be known now.
        joins_others = len(claim.stretch) <= JOINED_ITEMS and not claim.until_failure
        block = None if joins_others or claim.is_over else claim.outcomes.block()
        with self._lock:
            if claim.is_over:
                self.dropped += 1
                return False
            held = claim.held
            self._end(claim)
            held.reached = max(held.reached, stopped)
            if claim.window[END] >= stopped:
                held.give_back(stopped, claim.window[END])
            if held.unclaimed and stopped < claim.stretch.stop:
                self._on_work(claim.stretch.stop - stopped)
            is_urgent = False
            if block is None:
                held.finished.append(claim.outcomes)
                self._count(claim.outcomes.waiting)
            else:
                is_urgent = claim.until_failure and self._stop_at_failure(held, block)
                self._gather(held, block)
            if is_urgent or held.is_over or self._is_due():
                self._flush()
            return True

    def give_up(self, claim: Claim, failure_of_current: Callable[[Claim, int], Failure]) -> bool:
        """Take a claim from a slot whose item ran out of time; False when the slot was quicker.

        The item at hand fails with what `failure_of_current(claim, index)` says; a chunk's items go back to
        run singly, uncharged. What was finished counts, what was not started goes back to the queue.
        """
        with self._lock:
            if claim.is_over:
                return False
            rest, end = self._abandon(claim)
            held, finished = claim.held, claim.outcomes.finished
            current = claim.stretch.first + finished
            block = claim.outcomes.block(finished)
            held.give_back(rest, end)
            if rest - current > 1:
                held.give_back(current, rest, singly=True)
            elif rest - current == 1:
                block.failures.append(failure_of_current(claim, claim.stretch.index_at(current)))
            # else the item ended at this very moment, and is among the finished ones
            if claim.until_failure:
                self._stop_at_failure(held, block)
            self._gather(held, block)
            self._flush()
            self._on_work(end - current)
            return True

    def trim(self, claim: Claim) -> None:
        """Share what waits for a slow item: what its slot has not started, and what it has finished."""
        with self._lock:
            if claim.is_over or claim.is_trimmed:
                return
            claim.is_trimmed = True
            rest, end = _lower_end(claim, claim.window[STARTED] + 1)
            self._gather(claim.held, claim.outcomes.block())
            if rest < end:
                claim.held.give_back(rest, end)
                self._on_work(end - rest)

    def revoke(self, lease_id: int) -> None:
        """Take back what is unstarted of a lease; posts `SliceShortened` unless the lease is over."""
        with self._lock:
            held = self._held.get(lease_id)
            if held is None:
                return
            kept = held.reached
            for claim in held.claims:
                rest, end = _lower_end(claim, claim.window[STARTED] + 1)
                held.give_back(rest, end)
                kept = max(kept, rest)
            held.cut(kept)
            self._post(SliceShortened(self._clock(), self._holder, lease_id, kept))
            if held.is_over:
                self._flush()

    def flush_if_due(self) -> None:
        """Let gathered outcomes leave when they have waited long enough (called by the watcher)."""
        with self._lock:
            if self._gathered and self._is_due():
                self._flush()

    def running(self) -> list[Claim]:
        """The claims slots work on now."""
        with self._lock:
            return [claim for held in self._held.values() for claim in held.claims]

    def lose(self, reason: str) -> None:
        """End everything at once: post `HolderLost` with what is finished, charging nobody, and close."""
        with self._lock:
            if self._is_closed:
                return
            blocks = []
            for held in self._held.values():
                for claim in list(held.claims):
                    self._abandon(claim)
                    held.blocks.append(claim.outcomes.block(claim.outcomes.finished))
                blocks.append(held.take_block())
            self._post(HolderLost(self._clock(), self._holder, _concatenate(blocks), reason, replaced=False))
            self._close()

    def close(self) -> None:
        """Hand out nothing any more; idle slots end."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        self._is_closed = True
        self._held.clear()
        self._gathered = 0
        self._on_work(sys.maxsize)

    def _end(self, claim: Claim) -> None:
        claim.is_over = True
        claim.held.claims.remove(claim)

    def _abandon(self, claim: Claim) -> tuple[int, int]:
        """End a claim whose slot still runs; returns the first position not started and the end it had."""
        claim.window[CANCELLED] = 1
        rest, end = _lower_end(claim, claim.stretch.first)
        self._end(claim)
        claim.held.reached = max(claim.held.reached, rest)
        return rest, end

    def _stop_at_failure(self, held: _HeldLease, block: OutcomeBlock) -> bool:
        """End the lease if the block holds a failure that cannot be retried."""
        if not any(is_final(failure, self._max_attempts) for failure in block.failures):
            return False
        held.is_stopped = True
        held.unclaimed.clear()
        for claim in held.claims:
            _lower_end(claim, claim.window[STARTED] + 1)
        return True

    def _gather(self, held: _HeldLease, block: OutcomeBlock) -> None:
        if not len(block) and not block.logs:
            return
        held.blocks.append(block)
        self._count(len(block))

    def _count(self, outcomes: int) -> None:
        if not self._gathered:
            self._flush_due = time.monotonic_ns() + int(FLUSH_AFTER * 1e9)
        self._gathered += outcomes

    def _is_due(self) -> bool:
        return self._gathered >= FLUSH_ITEMS or time.monotonic_ns() >= self._flush_due

    def _flush(self) -> None:
        # before anybody hears that a slice is over: its successor finds the directory it expects
        self._directory.restore()
        at = self._clock()
        for lease_id, held in list(self._held.items()):
            if held.is_over:
                del self._held[lease_id]
                self._post(SliceFinished(at, self._holder, lease_id, held.take_block()))
            elif held.blocks or held.finished:
                self._post(OutcomesArrived(at, self._holder, lease_id, held.take_block()))
        self._gathered = 0


def next_size(size: int, *, took: int, smallest: int) -> int:
    """Items the next claim of a slot asks for, after one of `size` items took `took` nanoseconds.

    Twice as many while a claim takes less than a millisecond; few, so that they spread, when items are slow.
    """
    if took < 1_000_000:
        return min(MAX_ITEMS, size * 2) if size < MAX_ITEMS else size
    return max(smallest, size * 1_000_000 // took)


def merge_blocks(blocks: list[OutcomeBlock]) -> OutcomeBlock:
    """One block of blocks from the same lease: successes as one run, in item order as far as possible."""
    if len(blocks) == 1:
        return blocks[0]
    return OutcomeBlock(
        _merge_successes([run for block in blocks for run in block.successes]),
        [failure for block in blocks for failure in block.failures],
        [entry for block in blocks for entry in block.logs],
    )


def _merge_successes(runs: list[Successes]) -> list[Successes]:
    if len(runs) <= 1:
        return runs
    runs.sort(key=lambda run: run.ranges[0])
    ranges: list[tuple[int, int]] = []
    for run in runs:
        for first, count in run.ranges:
            if ranges and first == sum(ranges[-1]):
                ranges[-1] = (ranges[-1][0], ranges[-1][1] + count)
            else:
                ranges.append((first, count))
    durations = [duration for run in runs for duration in run.durations_us]
    results = b"[" + b",".join([run.results[1:-1] for run in runs]) + b"]"
    return [Successes(ranges, runs[0].attempt, durations, results)]


def _concatenate(blocks: list[OutcomeBlock]) -> OutcomeBlock:
    """One block of blocks from different leases (their attempts may differ)."""
    return OutcomeBlock(
        [run for block in blocks for run in block.successes],
        [failure for block in blocks for failure in block.failures],
        [entry for block in blocks for entry in block.logs],
    )


def _lower_end(claim: Claim, end: int) -> tuple[int, int]:
    """Keep a slot from starting anything more; returns what it keeps at most and the end it had before.

    Exact under the GIL, for the reasons in window.py: END first, then STARTED. The window may be read again
    and again, so END is lowered to what is kept and a second call returns an empty rest.
    """
    window = claim.window
    before = window[END]
    if end < before:
        window[END] = end
    kept = min(before, max(end, window[STARTED] + 1))
    if kept < before:
        window[END] = kept
    return kept, before


def _discard(message: object) -> None:
    """Where messages go before the node was started."""
