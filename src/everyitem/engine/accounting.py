"""The accounts of a run: what became of each attempt, and of each item. Everything is counted here.

Pure. An outcome counts when its lease covers the item and the item had none; whatever comes too late or
twice is dropped. A failed attempt is retried, leaves its item in doubt, or was its outcome.
"""

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import chain
from operator import attrgetter

from everyitem.engine.allotment import Allotment
from everyitem.engine.breaker import Breaker, Standing, cause_of
from everyitem.engine.dealer import Dealer
from everyitem.engine.deferrals import Deferrals
from everyitem.engine.doubts import Doubts
from everyitem.engine.holders import HeldLease
from everyitem.engine.intents import tells_outcome
from everyitem.engine.ledger import Ledger, Mark
from everyitem.engine.recorder import Recorder
from everyitem.engine.retries import PendingAttempt, Retry, RetryHeap
from everyitem.engine.suspects import coordinator_death
from everyitem.engine.tally import FailureTally
from everyitem.engine.troubles import Troubles
from everyitem.model.configuration import ProcessingConfiguration
from everyitem.model.outcome import Excuse, Failure, OutcomeBlock, Successes
from everyitem.ports.completions import Completion
from everyitem.ports.doubt import Decision, Settlement
from everyitem.ports.started import Suspicion

#: The type of a failure whose call returned what is no result.
_UNUSABLE = "UnusableResult"


class Accounting:
    """Books outcomes and failed attempts of leased items."""

    def __init__(
        self,
        configuration: ProcessingConfiguration,
        ledger: Ledger,
        retries: RetryHeap,
        dealer: Dealer,
        recorder: Recorder,
        breaker: Breaker,
        allotment: Allotment,
        *,
        chance: Callable[[], float],
        unit: int,
        alone: Iterable[int],
    ) -> None:
        """Begin the accounts of a run.

        `chance` gives uniform random numbers in [0, 1], `unit` is how many items one call takes (chunk
        processors), `alone` are the items that earlier runs have found to belong by themselves.
        """
        self.doubts = Doubts(ledger, recorder)
        self.deferrals = Deferrals(ledger, recorder)
        self.tally = FailureTally(configuration, items=ledger.items)
        #: What fails and why, of this run.
        self.troubles = Troubles()
        #: Items that used up an attempt and got another one.
        self.retried = 0
        #: Microseconds workers were busy with items.
        self.busy_us = 0
        self._configuration = configuration
        self._ledger = ledger
        self._retries = retries
        self._dealer = dealer
        self._recorder = recorder
        self._breaker = breaker
        self._allotment = allotment
        self._chance = chance
        self._unit = unit
        #: Items that run alone from now on: a worker died of them, in whichever run, or their chunk raised.
        self._alone = set(alone)
        self._awaiting_charge: list[tuple[int, Retry]] = []

    def wait(self, pending: Iterable[PendingAttempt], at: float) -> None:
        """Take over the retries an earlier run left behind, as far as their items are open."""
        for one in pending:
            if self._ledger.mark(one.index) == Mark.OPEN:
                self._ledger.wait(one.index)
                self._retries.push(Retry(one.index, one.attempts + 1, at + one.delay, one.alone))

    def quarantine(self, suspicion: Suspicion, pending: Iterable[PendingAttempt]) -> int:
        """Fail the suspects that have killed one run after the other, and get that to the disk soon.

        Returns the ticket of the save that tells it (0: there is nothing to tell).
        """
        ticket = 0
        attempts = {one.index: one.attempts for one in pending}
        for suspect in suspicion.suspects:
            if not suspect.is_convicted or self._ledger.mark(suspect.index) != Mark.OPEN:
                continue
            self._ledger.lease(suspect.index, suspect.index + 1)
            self._failed_for_good(coordinator_death(suspect, attempt=attempts.get(suspect.index, 0) + 1))
            ticket = self._recorder.cut_soon()
        return ticket

    def account(self, holder: str, lease_id: int, block: OutcomeBlock, at: float) -> None:
        """Record a block under its lease; whatever comes too late or twice is dropped."""
        held = self._dealer.held(holder, lease_id)
        if held is None:
            return
        count = 0
        busy_before = self.busy_us
        ranges: list[tuple[int, int]] = []
        for arrived in block.successes:
            run = self._succeeded(held, arrived)
            if run.ranges:
                count += len(run)
                ranges += self._telling(run, at)
                self._recorder.add_successes(run)
                self.busy_us += sum(run.durations_us)
        succeeded = count
        for before, failure in in_their_order(ranges, block.failures):
            if before:
                self._breaker.succeeded(at, before)
            if failure is not None and self._awaits(held, failure.index):
                held.settle(failure.index)
                count += 1
                if failure.deferred is None:
                    self._failed(failure, at)
                else:
                    self._deferred(failure, at)
                    succeeded += 1
        if block.logs:
            # a lost holder's block is offered to each of its leases: every record has one owner
            self._recorder.add_logs([log for log in block.logs if held.covers(log[0], log[0] + 1)])
        if count:
            busy = (self.busy_us - busy_before) / 1e6
            self._allotment.note(at, succeeded=succeeded, failed=count - succeeded, busy=busy)
        self._dealer.note(holder, held, count, at)

    def hear(self, completions: Sequence[Completion], at: float, *, up_to: float | None) -> None:
        """Record what events say of deferred items; `up_to`: whose time was over by then has run out of it.

        What is left once the batch is decided stays deferred, and its event in the store, for the next run.
        """
        for run in self.deferrals.succeed(completions):
            self._ledger.succeed(run.ranges)
            self._recorder.add_successes(run)
            self.busy_us += sum(run.durations_us)
        failed = (failure for one in completions if (failure := self.deferrals.fail(one)) is not None)
        expired = self.deferrals.expire(up_to) if up_to is not None else ()
        # one at a time, as they are asked for: whoever is not reached stays deferred
        for failure in chain(failed, expired):
            self._deferred_failed(failure, at)
            if self.tally.is_decided():
                return

    def _deferred_failed(self, failure: Failure, at: float) -> None:
        self._failed(failure, at)
        if not failure.final:
            self._recorder.deferrals.end(failure.index)

    def doubt_lease(self, held: HeldLease, begun: Collection[int] | None, reason: str) -> None:
        """What a lost holder had begun is in doubt; all of a lease, where nobody can tell."""
        for index in held.lease.indices[: held.end] if begun is None else begun:
            if self._awaits(held, index):
                held.settle(index)
                self.doubts.add(index, held.lease.attempt, reason)

    def settle(self, asked: Settlement, at: float) -> None:
        """Carry out a person's decision about an item in doubt; one about any other item is dropped."""
        settlement = self.doubts.settle(asked)
        if settlement is not None and settlement.decision is Decision.AGAIN:
            index, attempts = settlement.index, settlement.attempt
            alone = index in self._alone
            self._retries.push(Retry(index, attempts + 1, at, alone))
            self._recorder.pending(index, attempts, at, alone=alone)

    def charges_saved(self, ticket: int) -> None:
        """Save `ticket` is durable: who waited for the charge of a death in it may run again."""
        still_waiting = []
        for needed, retry in self._awaiting_charge:
            if needed <= ticket:
                self._retries.push(retry)
            else:
                still_waiting.append((needed, retry))
        self._awaiting_charge = still_waiting

    def _awaits(self, held: HeldLease, index: int) -> bool:
        return (
            held.covers(index, index + 1)
            and index not in held.settled
            and self._ledger.mark(index) == Mark.LEASED
        )

    def _succeeded(self, held: HeldLease, run: Successes) -> Successes:
        """Count a run; returns the part the lease still covers and that had no outcome (mostly: all)."""
        if held.expects(run) and self._ledger.succeed(run.ranges):
            return run
        awaited = run.keep({index for index in run.indices() if self._awaits(held, index)})
        return awaited if self._ledger.succeed(awaited.ranges) else awaited.keep(set())

    def _telling(self, run: Successes, at: float) -> list[tuple[int, int]]:
        """Those of a run that say something of an outage: what was under way when it began does not."""
        since = self._breaker.probing_since
        if since == -math.inf:
            return run.ranges
        self._breaker.goes_on(at)
        longest = (at - since) * 1e6 / self._unit
        begun = [
            index
            for index, duration in zip(run.indices(), run.durations_us, strict=True)
            if duration <= longest
        ]
        for index in begun:
            self._breaker.acquit(index)
        return [(index, 1) for index in begun]

    def _deferred(self, failure: Failure, at: float) -> None:
        """A call of a leased item has done its part, and an event will tell the outcome."""
        self._breaker.succeeded(at, 1)
        self.deferrals.add(failure, at)
        if self._configuration.at_most_once:
            # the call came to its end: from here on the deferral is what the disk knows of it
            self._recorder.withdraw([failure.index])

    def _failed(self, failure: Failure, at: float) -> None:
        """One attempt of a leased item failed: retry it, or that was its outcome."""
        self.busy_us += failure.duration_us
        if self._configuration.at_most_once and not (failure.permanent or tells_outcome(failure)):
            self.doubts.add(failure.index, failure.attempt, f"{failure.type}: {failure.message}")
            return
        retry = self._next_attempt(failure, at)
        if retry is None:
            self._failed_for_good(failure)
            return
        self._recorder.add_failure(failure)
        self.troubles.add(failure, final=False)
        self._ledger.wait(failure.index)
        # what was excused has used up nothing
        self._recorder.pending(failure.index, retry.attempt - 1, retry.due, alone=retry.alone)
        if failure.alone:
            # a worker's death is charged on disk before the item may kill the next worker
            self._awaiting_charge.append((self._recorder.secure_charges(), retry))
        else:
            self._retries.push(retry)

    def _next_attempt(self, failure: Failure, at: float) -> Retry | None:
        at_most_once = self._configuration.at_most_once
        wait = self._wait_for(failure, at)
        if failure.permanent or (at_most_once and failure.type == _UNUSABLE):
            # the call itself came to its end: at-most-once does not repeat it for the sake of its result
            return None
        if failure.alone:
            self._alone.add(failure.index)
        if not failure.used_up:
            return Retry(failure.index, failure.attempt, at + max(0.0, wait), failure.index in self._alone)
        policy = self._configuration.retry
        if failure.attempt > policy.max_retries:
            return None
        if failure.attempt == 1:
            self.retried += 1
        delay = policy.delay(failure.attempt, chance=self._chance())
        if at_most_once and self._unit > 1:
            # a chunk of which one item made the call raise: each is called singly
            self._alone.add(failure.index)
        alone = failure.index in self._alone
        return Retry(failure.index, failure.attempt + 1, at + delay, alone, cause_of(failure))

    def _wait_for(self, failure: Failure, at: float) -> float:
        """Let the breaker hear of a failure, and excuse it perhaps; returns seconds until it is repeated."""
        was_closed = self._breaker.standing is Standing.CLOSED
        wait = self._breaker.failed(failure, at)
        if failure.retry_after is not None:
            return failure.retry_after
        failure.excused = wait is not None
        if wait is not None and was_closed:
            self._excuse_evidence()
        return wait or 0.0

    def _excuse_evidence(self) -> None:
        """The breaker has opened: those by which it noticed are excused as well, as far as they wait."""
        excused = self._retries.excuse(set(self._breaker.excused()), self._breaker.cause)
        for retry in excused:
            self.retried -= retry.attempt == 1
            self._recorder.pending(retry.index, retry.attempt - 1, retry.due, alone=retry.alone)
        self._recorder.excuse({Excuse(retry.index, retry.attempt) for retry in excused})

    def _failed_for_good(self, failure: Failure) -> None:
        if self.tally.is_decided():
            # after the deciding failure further final failures stay unrecorded: exactly limit + 1
            if self._configuration.at_most_once:
                # it must not be called again for that; who settles it learns what it raised
                self.doubts.add(failure.index, failure.attempt, _unrecorded(failure))
            else:
                self._ledger.reopen(failure.index)
            return
        failure.final = True
        self._ledger.fail(failure.index)
        self._recorder.add_failure(failure)
        self._breaker.gave_up(failure)
        self.tally.add(failure)
        self.troubles.add(failure, final=True)


def in_their_order(
    ranges: Sequence[tuple[int, int]], failures: Sequence[Failure]
) -> Iterator[tuple[int, Failure | None]]:
    """Failures by item, each with how many succeeded since the one before it; last those that follow.

    A block tells successes and failures apart, but its items were worked through in their order: of every
    twentieth that fails, a hundred look like an outage when they are heard of one behind the other.
    """
    spans = sorted(ranges)
    place = 0
    for failure in sorted(failures, key=attrgetter("index")):
        before = 0
        while place < len(spans) and spans[place][0] < failure.index:
            first, count = spans[place]
            inside = min(count, failure.index - first)
            before += inside
            if inside < count:
                spans[place] = (first + inside, count - inside)
                break
            place += 1
        yield before, failure
    yield sum(count for _, count in spans[place:]), None


def _unrecorded(failure: Failure) -> str:
    return (
        f"{failure.type}: {failure.message}; it failed for good when other failures had stopped the batch, "
        "and does not count as failed"
    )
