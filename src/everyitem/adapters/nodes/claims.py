"""Claims and the queued leases they are pieces of.

A lease in a shared queue is worked on in claims: contiguous pieces, one per slot at a time. None of this
locks; the queue does.
"""

import math
from collections import deque
from collections.abc import Sequence

from everyitem.adapters.nodes.blocks import concatenate_blocks
from everyitem.model.items import BLOCK_ITEMS
from everyitem.model.outcome import Failure, OutcomeBlock
from everyitem.ports.node import Lease
from everyitem.work.loop import NEVER
from everyitem.work.outcomes import OutcomeDraft, StretchOutcomes
from everyitem.work.stretch import MAX_ITEMS, Stretch
from everyitem.work.window import CANCELLED, END, HEARTBEAT, SINCE, STARTED, new_window


class QueuedLease:
    """A lease in the queue, with the positions nobody has claimed yet and what came of the others."""

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        #: Unclaimed (first, stop, singly) in the order to hand out; `singly`: one item per claim.
        self.unclaimed: deque[tuple[int, int, bool]] = deque()
        if lease.indices:
            self.unclaimed.append((0, len(lease.indices), False))
        self.claims: list[Claim] = []
        #: `time.monotonic_ns()` after which no item starts; set by the first claim.
        self.stop_at = NEVER
        self._is_begun = False
        #: Nothing of it starts any more.
        self._is_stopped = False
        #: Position behind the last one ever started.
        self.reached = 0
        #: Outcomes that are ready to leave, and those still to be made a block of.
        self._blocks: list[OutcomeBlock] = []
        self._draft = OutcomeDraft()

    @property
    def is_over(self) -> bool:
        """Nothing of it runs and nothing is left to claim."""
        return not self.claims and not self.unclaimed

    @property
    def has_outcomes(self) -> bool:
        """Whether `take_block` has something to take."""
        return bool(self._blocks or self._draft)

    def begin(self, now: int) -> None:
        """Its first item is about to start: the budget counts from here."""
        if not self._is_begun:
            self._is_begun = True
            if math.isfinite(self.lease.budget):
                self.stop_at = now + int(self.lease.budget * 1e9)

    def take(self, most: int) -> range:
        """The next unclaimed positions, at most `most`; of many, up to where a block of items ends."""
        first, stop, singly = self.unclaimed.popleft()
        taken = min(stop, first + (1 if singly else most))
        if most >= BLOCK_ITEMS and taken < stop and isinstance(self.lease.indices, range):
            # then the next claims are whole blocks, which can be read without a look into them
            beyond = self.lease.indices[taken] % BLOCK_ITEMS
            taken -= beyond if beyond < taken - first else 0
        if taken < stop:
            self.unclaimed.appendleft((taken, stop, singly))
        return range(first, taken)

    def give_back(self, first: int, stop: int, *, singly: bool = False) -> int:
        """Put unstarted positions back to the front; returns how many can be claimed again."""
        if first >= stop or self._is_stopped:
            return 0
        self.unclaimed.appendleft((first, stop, singly))
        return stop - first

    def cut(self, kept: int) -> None:
        """Forget the unclaimed positions from `kept` on."""
        self.unclaimed = deque(
            (first, min(stop, kept), singly) for first, stop, singly in self.unclaimed if first < kept
        )

    def stop(self) -> None:
        """Start nothing of it any more: what nobody has started will be absent from its outcomes."""
        self._is_stopped = True
        self.unclaimed.clear()
        for claim in self.claims:
            claim.shorten()

    def add(self, outcomes: StretchOutcomes, finished: int | None = None) -> int:
        """Take over what ended of a claim and has not left yet; returns how many items that are."""
        before = len(self._draft)
        self._draft.add(outcomes, finished)
        added = len(self._draft) - before
        if len(self._draft) >= MAX_ITEMS:
            # results are looked at while they are fresh, and in runs small enough to cut where a segment ends
            self._close_draft()
        return added

    def add_failure(self, failure: Failure) -> None:
        """What came of an item that was given up."""
        self._close_draft()
        self._blocks.append(OutcomeBlock([], [failure]))

    def take_block(self) -> OutcomeBlock:
        """Everything that came of it since the last time, as one block."""
        self._close_draft()
        blocks, self._blocks = self._blocks, []
        return concatenate_blocks(blocks)

    def _close_draft(self) -> None:
        if self._draft:
            self._blocks.append(self._draft.block())
            self._draft = OutcomeDraft()


class Claim:
    """A piece of a lease one slot works on: positions `stretch.first` up to `window[END]`."""

    __slots__ = (
        "begun",
        "is_over",
        "is_trimmed",
        "outcomes",
        "owner",
        "queued",
        "stop_at",
        "stretch",
        "until_failure",
        "window",
    )

    def __init__(self, owner: object, queued: QueuedLease, stretch: Stretch, begun: int) -> None:
        #: The worker it was handed to.
        self.owner = owner
        self.queued = queued
        self.stretch = stretch
        self.window = new_window(stretch.first, stretch.stop)
        self.outcomes = StretchOutcomes(checks_at_once=queued.lease.until_failure)
        self.stop_at = queued.stop_at
        self.until_failure = queued.lease.until_failure
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

    @property
    def current(self) -> Sequence[int]:
        """Indices of the items it runs now, after `shorten`: one, or those of one chunk."""
        first = self.stretch.first + self.outcomes.finished
        return self.stretch.indices[first - self.stretch.first : self.end_position - self.stretch.first]

    @property
    def end_position(self) -> int:
        """The position before which its slot may start items."""
        return self.window[END]

    @property
    def signs_of_life(self) -> tuple[int, int]:
        """When its current item began and when that last said it is alive (`time.monotonic_ns()`, or 0)."""
        return self.window[SINCE], self.window[HEARTBEAT]

    def shorten(self) -> range:
        """Keep the slot from starting anything more; returns the positions it will not come to.

        Exact under the GIL, for the reasons in window.py: END first, then STARTED. The window may be read
        again and again, so END is lowered to what is kept and a second call returns nothing.
        """
        window = self.window
        before = window[END]
        end = window[STARTED] + 1
        if end < before:
            window[END] = end
        kept = min(before, window[STARTED] + 1)
        if kept < before:
            window[END] = kept
        return range(kept, before)

    def leave(self) -> None:
        """Count it as over while its slot still runs, asking the item at hand to end of its own accord."""
        self.window[CANCELLED] = 1
        self.shorten()
        self.end()
        self.queued.reached = max(self.queued.reached, self.window[END])

    def end(self) -> None:
        """Take it from its lease."""
        self.is_over = True
        self.queued.claims.remove(self)


def next_size(size: int, *, took: int, smallest: int) -> int:
    """Items the next claim of a slot asks for, after one of `size` items took `took` nanoseconds.

    Twice as many while a claim takes less than a millisecond; few, so that they spread, when items are slow.
    """
    if took < 1_000_000:
        return min(MAX_ITEMS, size * 2) if size < MAX_ITEMS else size
    return max(smallest, size * 1_000_000 // took)
