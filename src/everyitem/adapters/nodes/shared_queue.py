"""The queue the slots of a thread or async node share: what is unclaimed, claimed, and done.

The node's slots claim a few items at a time without asking the engine. A claim ends when its slot hands in
what came of it, or when the watcher gives up on the slot. Outcomes gather here and leave in blocks. One
lock guards everything; it is held for microseconds (a flush: about half a millisecond), and messages are
posted under it, so that they leave in the order things happened.
"""

import logging
import sys
import time
from collections.abc import Callable
from threading import Condition, Lock
from typing import Final

from everyitem.adapters.nodes.blocks import concatenate_blocks
from everyitem.adapters.nodes.claims import Claim, QueuedLease
from everyitem.adapters.nodes.hold import Hold
from everyitem.model.items import Items
from everyitem.model.outcome import Failure, OutcomeBlock
from everyitem.ports.node import (
    HolderLost,
    Lease,
    OutcomesArrived,
    Post,
    SliceFinished,
    SliceShortened,
)
from everyitem.ports.started import StartedCells
from everyitem.work.directory import WorkingDirectory
from everyitem.work.loop import NEVER
from everyitem.work.stretch import Stretch

logger = logging.getLogger(__name__)

#: Outcomes leave at the latest when so many have gathered ...
FLUSH_ITEMS: Final = 4_000
#: ... or the oldest of them has waited so long (seconds).
FLUSH_AFTER: Final = 0.01
#: A claim of so many items says that they take microseconds each (see `claims.next_size`): then one thread
#: at a time is quicker than several that fight for the interpreter.
QUICK_ITEMS: Final = 64
#: Nanoseconds for which a thread is trusted to be through with a claim of quick items.
QUICK_TRUST: Final = 5_000_000


class SharedQueue:
    """Leases in, claims out; outcomes in, blocks out. All methods may be called from any thread."""

    def __init__(
        self,
        holder: str,
        *,
        items: Items,
        clock: Callable[[], float],
        max_attempts: int,
        at_most_once: bool = False,
        on_work: Callable[[int], None],
        started: StartedCells | None = None,
    ) -> None:
        """`on_work(n)` is called under the lock when n items can be claimed; many when the queue closes.

        `started` is where it is noted what each worker has claimed.
        """
        self._holder, self._items, self._clock = holder, items, clock
        self._on_work, self._started = on_work, started
        self._at_most_once = at_most_once
        self._directory = WorkingDirectory()
        self._lock = Lock()
        #: Idle threads wait on this one.
        self.changed = Condition(self._lock)
        self._leases: dict[int, QueuedLease] = {}
        self._hold = Hold(max_attempts=max_attempts)
        self._post: Post = _discard
        self._gathered = 0
        self._flush_due = NEVER
        #: The latest claim of quick items, and how many items the latest claim of a thread asked for.
        self._quick: Claim | None = None
        self._latest_most = 1
        self._is_closed = False
        #: Claims worked on at the same time: what memory leaves, and the slots in use. None: no limit.
        self._left_by_memory: int | None = None
        self._in_use: int | None = None
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
        return bool(self._leases)

    def add(self, lease: Lease) -> None:
        """Queue a lease."""
        with self._lock:
            if self._is_closed:
                return
            self._leases[lease.lease_id] = queued = QueuedLease(lease)
            if self._hold.stops(lease):
                self._hold.withhold(queued)
                self._flush()
                return
            if not lease.indices:
                self._flush()
            if not self._is_tended():
                # else its thread comes by itself, and waking others would only hold it up
                self._on_work(len(lease.indices))

    def claim(self, owner: object, most: int) -> Claim | None:
        """The next items for worker `owner`, at most `most` of one lease; None: nothing to do now.

        Raises `StoreError` where the items cannot be read.
        """
        with self._lock:
            claim = self._claim(owner, most)
            if claim is None:
                self._note_idle(owner)
            return claim

    def retire(self, owner: object) -> None:
        """The worker has ended, whatever became of its last claim."""
        with self._lock:
            self._note_idle(owner)

    def wait_and_claim(self, owner: object, most: int) -> Claim | None:
        """As `claim`, waiting for work; None when the queue was closed.

        Work on quick items is for one thread at a time: the others wait until it is slower than it promised.
        """
        with self._lock:
            claim = None
            while not self._is_closed:
                if most < QUICK_ITEMS or not self._is_tended(besides=owner):
                    claim = self._claim(owner, most)
                    if claim is not None:
                        self._latest_most = most
                        self._quick = claim if len(claim.stretch) >= QUICK_ITEMS else None
                        break
                    # whoever finds nothing to do tends nothing any more
                    self._quick = None
                self._note_idle(owner)
                self.changed.wait()
                # items may be slow by now: what the working threads have found out holds for all
                most = min(most, self._latest_most)
            return claim

    def _is_tended(self, *, besides: object = None) -> bool:
        """Whether another thread is at a claim of quick items, or about to take its next one."""
        quick = self._quick
        if quick is None or quick.is_trimmed or quick.owner is besides:
            return False
        return time.monotonic_ns() - quick.begun < QUICK_TRUST

    def _claim(self, owner: object, most: int) -> Claim | None:
        most_claims = self._most_claims()
        if self._hold.is_coming or (most_claims is not None and self._count_claims() >= most_claims):
            return None
        now = time.monotonic_ns()
        for queued in list(self._leases.values()) if self._leases else ():
            if not queued.unclaimed:
                continue
            if now >= queued.stop_at:
                # out of time: what nobody started is given back by being absent
                queued.unclaimed.clear()
                self._flush()
                continue
            queued.begin(now)
            positions = queued.take(most)
            indices = queued.lease.indices[positions.start : positions.stop]
            text = self._items.text(indices)
            stretch = Stretch(text, indices, first=positions.start, attempt=queued.lease.attempt)
            claim = Claim(owner, queued, stretch, now)
            queued.claims.append(claim)
            if self._started is not None:
                self._started.begin(owner, indices)
            return claim
        if self._gathered:
            # the slot goes idle: nothing may wait here for company that might not come
            self._flush()
        return None

    def _note_idle(self, owner: object) -> None:
        if self._started is not None:
            self._started.end(owner)

    def hand_in(self, claim: Claim, stopped: int) -> bool:
        """A slot is done with its claim, having stopped before position `stopped`; False: it was given up."""
        is_decisive = self._hold.is_due_to(claim, (failure for _, failure in claim.outcomes.failures))
        if is_decisive:
            self._hold.forestall(claim, self._leases.values())
        with self._lock:
            self._hold.handed_in(claim)
            if claim.is_over:
                self.dropped += 1
                if is_decisive:
                    self._on_work(sys.maxsize)
                return False
            queued = claim.queued
            claim.end()
            queued.reached = max(queued.reached, stopped)
            queued.give_back(stopped, claim.end_position)
            if queued.unclaimed and stopped < claim.stretch.stop:
                self._on_work(claim.stretch.stop - stopped)
            self._gather(queued, claim)
            if is_decisive:
                self._stop_for(queued)
            elif queued.is_over or self._is_due():
                self._flush()
            return True

    def give_up(
        self,
        claim: Claim,
        failure_of_current: Callable[[Claim, int], Failure],
        *,
        seen: tuple[int, int],
    ) -> bool:
        """Take a claim from a slot whose item ran out of time; False when the slot was quicker.

        `seen` are the `signs_of_life` by which the item is too late. It fails with what
        `failure_of_current(claim, index)` says; a chunk's items go back to run singly, uncharged. What was
        finished counts, what was not started goes back to the queue.
        """
        with self._lock:
            if claim.is_over:
                return False
            unstarted = claim.shorten()
            if claim.queued.give_back(unstarted.start, unstarted.stop):
                self._on_work(len(unstarted))
            # looked at again only now that the slot cannot begin another item unnoticed
            if claim.signs_of_life != seen:
                return False
            claim.leave()
            self._settle_current(claim, failure_of_current)
            return True

    def _settle_current(self, claim: Claim, failure_of_current: Callable[[Claim, int], Failure]) -> None:
        """Take over what came of a claim that was given up, and charge what it was at."""
        queued, finished = claim.queued, claim.outcomes.finished
        current, stop = claim.stretch.first + finished, claim.end_position
        self._gather(queued, claim, finished)
        failures: list[Failure] = []
        if stop - current > 1 and not self._at_most_once:
            self._on_work(queued.give_back(current, stop, singly=True))
        else:
            for position in range(current, stop):
                failures.append(failure_of_current(claim, claim.stretch.index_at(position)))
                queued.add_failure(failures[-1])
        # else the item ended at this very moment, and is among the finished ones
        if self._hold.is_due_to(claim, failures or (failure for _, failure in claim.outcomes.failures)):
            self._stop_for(queued)
        else:
            self._flush()

    def trim(self, claim: Claim) -> None:
        """Share what waits for a slow item: what its slot has not started, and what it has finished."""
        with self._lock:
            if claim.is_over or claim.is_trimmed:
                return
            claim.is_trimmed = True
            unstarted = claim.shorten()
            if self._started is not None:
                self._started.narrow(claim.owner, claim.current)
            self._gather(claim.queued, claim)
            if claim.queued.give_back(unstarted.start, unstarted.stop):
                self._on_work(len(unstarted))

    def revoke(self, lease_id: int, *, drains: bool = False) -> None:
        """Take back what is unstarted of a lease; posts `SliceShortened` unless the lease is over.

        What was given back between items that were started stays and is claimed next, unless it `drains`.
        """
        with self._lock:
            queued = self._leases.get(lease_id)
            if queued is None:
                return
            kept = queued.reached
            for claim in queued.claims:
                unstarted = claim.shorten()
                queued.give_back(unstarted.start, unstarted.stop)
                kept = max(kept, claim.end_position)
            queued.cut(kept)
            if drains:
                queued.stop()
            self._post(SliceShortened(self._clock(), self._holder, lease_id, kept))
            if queued.is_over:
                self._flush()

    def limit_claims(self, most: int) -> None:
        """Memory lets at most `most` slots begin items (0: none); what others claimed is shared out again."""
        with self._lock:
            self._left_by_memory = most
            self._apply_limits()

    def use_slots(self, slots: int) -> None:
        """Let at most so many slots begin items from now on."""
        with self._lock:
            self._in_use = slots
            self._apply_limits()

    def _most_claims(self) -> int | None:
        if self._left_by_memory is None or self._in_use is None:
            return self._in_use if self._left_by_memory is None else self._left_by_memory
        return min(self._left_by_memory, self._in_use)

    def _apply_limits(self) -> None:
        most = self._most_claims() or 0
        running = [claim for queued in self._leases.values() for claim in queued.claims]
        for claim in running[most:]:
            unstarted = claim.shorten()
            claim.queued.give_back(unstarted.start, unstarted.stop)
        self._on_work(most)

    def _count_claims(self) -> int:
        return sum(len(queued.claims) for queued in self._leases.values())

    def flush_if_due(self) -> None:
        """Let gathered outcomes leave when they have waited long enough (called by the watcher)."""
        with self._lock:
            if self._gathered and self._is_due():
                self._flush()
            if self._quick is not None and not self._is_tended():
                # whoever waits because of it must not wait in vain
                self._quick = None
                self._on_work(sys.maxsize)

    def running(self) -> list[Claim]:
        """The claims slots work on now."""
        with self._lock:
            return [claim for queued in self._leases.values() for claim in queued.claims]

    def lose(self, reason: str) -> None:
        """End everything at once: post `HolderLost` with what is finished, charging nobody, and close."""
        with self._lock:
            if self._is_closed:
                return
            rescued = [self._rescue(queued) for queued in self._leases.values()]
            block = concatenate_blocks([block for block, _ in rescued])
            begun: tuple[int, ...] | None = ()
            for _, unfinished in rescued:
                begun = None if begun is None or unfinished is None else (*begun, *unfinished)
            self._post(HolderLost(self._clock(), self._holder, block, reason, replaced=False, begun=begun))
            self._close()

    def _rescue(self, queued: QueuedLease) -> tuple[OutcomeBlock, list[int] | None]:
        """End the claims of a lease: what is finished, and what was begun and is not (None: unknown)."""
        begun: list[int] = []
        try:
            for claim in list(queued.claims):
                claim.leave()
                finished = claim.outcomes.finished
                unfinished = range(claim.stretch.first + finished, claim.end_position)
                begun += map(claim.stretch.index_at, unfinished)
                queued.add(claim.outcomes, finished)
            return queued.take_block(), begun
        except Exception:  # a fault of ours; the loss must be told all the same
            logger.exception("outcomes of lease %d cannot be recovered", queued.lease.lease_id)
            # what was lost with them has been called: under at-most-once it must not run again
            return OutcomeBlock(), None

    def close(self) -> None:
        """Hand out nothing any more; slots end after the item at hand."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        self._is_closed = True
        for queued in self._leases.values():
            for claim in list(queued.claims):
                claim.leave()
        self._leases.clear()
        self._gathered = 0
        self._on_work(sys.maxsize)

    def _stop_for(self, failed: QueuedLease) -> None:
        """Start nothing until the engine has heard of the failure and deals anew, if it still does."""
        self._hold.begin(self._leases.values())
        if failed.has_outcomes:
            # ahead of all others: what they give back must not be dealt again in ignorance
            block = failed.take_block()
            self._post(OutcomesArrived(self._clock(), self._holder, failed.lease.lease_id, block))
        self._flush()

    def _gather(self, queued: QueuedLease, claim: Claim, finished: int | None = None) -> None:
        outcomes = queued.add(claim.outcomes, finished)
        if not self._gathered:
            self._flush_due = time.monotonic_ns() + int(FLUSH_AFTER * 1e9)
        self._gathered += outcomes

    def _is_due(self) -> bool:
        return self._gathered >= FLUSH_ITEMS or time.monotonic_ns() >= self._flush_due

    def _flush(self) -> None:
        # before anybody hears that a slice is over: its successor finds the directory it expects
        self._directory.restore()
        at = self._clock()
        for lease_id, queued in list(self._leases.items()):
            if queued.is_over:
                del self._leases[lease_id]
                self._post(SliceFinished(at, self._holder, lease_id, queued.take_block()))
            elif queued.has_outcomes:
                self._post(OutcomesArrived(at, self._holder, lease_id, queued.take_block()))
        self._gathered = 0


def _discard(message: object) -> None:
    """Where messages go before the node was started."""
