"""Deliberate bugs, each a small change of the code that runs for real; the simulator must find every one."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from everyitem.adapters.stores import transactions
from everyitem.engine import (
    accounting,
    breaker,
    commits,
    dealer,
    deferral_record,
    deferrals,
    doubts,
    holders,
    intents,
    ledger,
    recorder,
    resumption,
    retries,
    segments,
    state,
    tally,
)
from everyitem.engine.messages import Ending, Verdict
from everyitem.engine.retries import Retry
from everyitem.engine.roster import Roster
from everyitem.engine.settling import settled_failure
from everyitem.model.configuration import ErrorStrategy, ProcessingConfiguration
from everyitem.model.errors import StoreError
from everyitem.ports.deferral import DeferralChange
from everyitem.testing.simulator import coordinator, virtual_store

Patch = pytest.MonkeyPatch
MUTANTS: dict[str, Callable[[Patch], None]] = {}


def mutant(breaks: Callable[[Patch], None]) -> Callable[[Patch], None]:
    """Register a deliberate bug under its function's name."""
    MUTANTS[breaks.__name__] = breaks
    return breaks


# -- outcomes ---------------------------------------------------------------------------------------


@mutant
def a_late_outcome_is_taken(patch: Patch) -> None:
    """The recorded-once guard is gone."""

    def believe(self, ranges):
        for first, count in ranges:
            self._marks[first : first + count] = bytes((ledger.Mark.SUCCEEDED,)) * count
            self.succeeded += count
        return True

    patch.setattr(accounting.Accounting, "_awaits", lambda self, held, index: True)
    patch.setattr(holders.HeldLease, "expects", lambda self, run: True)
    patch.setattr(ledger.Ledger, "succeed", believe)
    patch.setattr(ledger.Ledger, "_expect", lambda self, mark, start, stop: None)


@mutant
def a_doubled_failure_counts_twice(patch: Patch) -> None:
    """A second message about the same failed attempt is taken while the item waits."""

    def awaits(self, held, index):
        return held.covers(index, index + 1) and self._ledger.mark(index) in (
            ledger.Mark.LEASED,
            ledger.Mark.WAITING,
        )

    patch.setattr(accounting.Accounting, "_awaits", awaits)


@mutant
def a_lost_give_back(patch: Patch) -> None:
    """What a lost holder had is never dealt again."""
    patch.setattr(dealer.Dealer, "_give_back", lambda self, node_id, held, indices, at: None)


@mutant
def a_shortened_lease_is_not_given_back(patch: Patch) -> None:
    """The rest of a revoked slice belongs to nobody."""

    def shorten(self, name, lease_id, kept, at):
        if (held := self.held(name, lease_id)) is not None:
            held.shorten(kept)

    patch.setattr(dealer.Dealer, "shorten", shorten)


@mutant
def a_running_item_is_dealt_again(patch: Patch) -> None:
    """A revocation takes back one item too many: the one that runs."""
    shorten = dealer.Dealer.shorten
    patch.setattr(
        dealer.Dealer,
        "shorten",
        lambda self, name, lease_id, kept, at: shorten(self, name, lease_id, max(0, kept - 1), at),
    )


# -- attempts ---------------------------------------------------------------------------------------


@mutant
def a_retry_counts_twice(patch: Patch) -> None:
    """A failed attempt uses up two."""
    following = accounting.Accounting._next_attempt

    def next_attempt(self, failure, at):
        retry = following(self, failure, at)
        if retry is not None and failure.retry_after is None:
            retry.attempt += 1
        return retry

    patch.setattr(accounting.Accounting, "_next_attempt", next_attempt)


@mutant
def one_attempt_too_many(patch: Patch) -> None:
    """The budget of retries is off by one."""

    def next_attempt(self, failure, at):
        if failure.permanent:
            return None
        if failure.retry_after is not None:
            return Retry(failure.index, failure.attempt, at + failure.retry_after, failure.alone)
        if failure.attempt > self._configuration.retry.max_retries + 1:
            return None
        if failure.attempt == 1:
            self.retried += 1
        return Retry(failure.index, failure.attempt + 1, at, failure.alone)

    patch.setattr(accounting.Accounting, "_next_attempt", next_attempt)


@mutant
def retry_later_uses_up_an_attempt(patch: Patch) -> None:
    """An item that asked for more time is charged for it."""
    following = accounting.Accounting._next_attempt
    patch.setattr(
        accounting.Accounting,
        "_next_attempt",
        lambda self, failure, at: following(self, replace(failure, retry_after=None), at),
    )


@mutant
def a_permanent_failure_is_retried(patch: Patch) -> None:
    """PermanentItemError is an error like any other."""
    following = accounting.Accounting._next_attempt
    patch.setattr(
        accounting.Accounting,
        "_next_attempt",
        lambda self, failure, at: following(self, replace(failure, permanent=False), at),
    )


@mutant
def a_charge_is_not_awaited(patch: Patch) -> None:
    """A killer item runs again before the death it caused is on disk."""
    patch.setattr(recorder.Recorder, "secure_charges", lambda self: 0)
    failed = accounting.Accounting._failed

    def push_at_once(self, failure, at):
        failed(self, failure, at)
        self.charges_saved(0)

    patch.setattr(accounting.Accounting, "_failed", push_at_once)


@mutant
def a_charge_is_never_saved(patch: Patch) -> None:
    """Who waits for the charge of a death waits for ever."""
    patch.setattr(accounting.Accounting, "charges_saved", lambda self, ticket: None)


@mutant
def a_suspect_runs_in_company(patch: Patch) -> None:
    """A killer item joins a group of ordinary retries."""
    ready = retries.RetryHeap.make_ready
    patch.setattr(
        retries.RetryHeap,
        "make_ready",
        lambda self, retry, at: ready(self, Retry(retry.index, retry.attempt, retry.due), at),
    )


@mutant
def a_killer_that_merely_failed_is_forgiven(patch: Patch) -> None:
    """After an ordinary error it runs in company again."""
    following = accounting.Accounting._next_attempt

    def next_attempt(self, failure, at):
        retry = following(self, failure, at)
        if retry is not None:
            retry.alone = failure.alone
        return retry

    patch.setattr(accounting.Accounting, "_next_attempt", next_attempt)


@mutant
def a_given_back_retry_starts_over(patch: Patch) -> None:
    """A retry that was given back unstarted becomes a fresh item."""
    give_back = dealer.Dealer._give_back

    def forget(self, node_id, held, indices, at):
        held.retries.clear()
        give_back(self, node_id, held, tuple(indices), at)

    patch.setattr(dealer.Dealer, "_give_back", forget)


# -- outages ----------------------------------------------------------------------------------------


@mutant
def an_excused_attempt_is_not_marked(patch: Patch) -> None:
    """What an outage took stands in the record like any failed attempt."""
    add = segments.SegmentCutter.add_failure

    def unmarked(self, failure):
        failure.excused = False
        add(self, failure)

    patch.setattr(segments.SegmentCutter, "add_failure", unmarked)


@mutant
def what_is_written_is_not_excused(patch: Patch) -> None:
    """The evidence of an outage is marked where it waits for the disk, and nowhere else."""
    excuse = segments.SegmentCutter.excuse

    def forget(self, excuses):
        excuse(self, excuses)
        self._draft.excuses.clear()
        return 0

    patch.setattr(segments.SegmentCutter, "excuse", forget)


@mutant
def an_excuse_comes_after_its_retry(patch: Patch) -> None:
    """The retry that is given back is saved without the segment that says why."""

    def excuse(self, excuses):
        self._cutter.excuse(excuses)
        self.secure_charges()

    patch.setattr(recorder.Recorder, "excuse", excuse)


@mutant
def the_evidence_counts_as_retried(patch: Patch) -> None:
    """Items whose only failed attempts were excused are told as retried."""
    excuse = accounting.Accounting._excuse_evidence

    def keep_count(self):
        before = self.retried
        excuse(self)
        self.retried = before

    patch.setattr(accounting.Accounting, "_excuse_evidence", keep_count)


@mutant
def whoever_fails_is_excused(patch: Patch) -> None:
    """While the breaker is open, what speaks of the item is excused as well."""
    failed = breaker.Breaker.failed

    def excuse(self, failure, at):
        wait = failed(self, failure, at)
        is_open = self.standing is not breaker.Standing.CLOSED
        return breaker.FIRST_WAIT if is_open and wait is None else wait

    patch.setattr(breaker.Breaker, "failed", excuse)


@mutant
def an_outage_takes_attempts_back_twice(patch: Patch) -> None:
    """The evidence gets two attempts for the one that failed."""
    excuse = retries.RetryHeap.excuse

    def twice(self, indices, cause):
        excused = excuse(self, indices, cause)
        for retry in excused:
            retry.attempt = max(1, retry.attempt - 1)
        return excused

    patch.setattr(retries.RetryHeap, "excuse", twice)


# -- what is durable --------------------------------------------------------------------------------


@mutant
def a_segment_is_cut_one_too_late(patch: Patch) -> None:
    """Off by one where a run of outcomes fills a segment."""
    create = segments.SegmentCutter.__init__

    def init(self, interval):
        create(self, None if interval is None else interval + 1)

    patch.setattr(segments.SegmentCutter, "__init__", init)


@mutant
def the_last_checkpoint_is_forgotten(patch: Patch) -> None:
    """The run ends without saving what is left."""
    patch.setattr(recorder.Recorder, "cut_last", lambda self: None)


@mutant
def outcomes_behind_a_full_segment_are_dropped(patch: Patch) -> None:
    """Taking everything takes the full segments only."""

    def take_all(self):
        if self._full:
            self._draft = segments.SegmentDraft([], [])
            self.outcomes = 0
        elif self.outcomes or self._draft.failures:
            self._close()
        return self.take_full()

    patch.setattr(segments.SegmentCutter, "take_all", take_all)


@mutant
def pending_retries_are_not_stored(patch: Patch) -> None:
    """Checkpoints hold no attempts that were used up."""
    build = commits.CommitBuilder.build

    def without(self, waiting, **more):
        commit = build(self, waiting, **more)
        commit.retries_set = []
        return commit

    patch.setattr(commits.CommitBuilder, "build", without)


@mutant
def pending_retries_are_forgotten_at_a_resume(patch: Patch) -> None:
    """A new run begins every open item from its first attempt."""
    begin = coordinator.begin_run
    patch.setattr(
        coordinator,
        "begin_run",
        lambda how, recorded, *rest, **more: begin(how, replace(recorded, retries=[]), *rest, **more),
    )


@mutant
def a_retry_is_not_cleared(patch: Patch) -> None:
    """An item's pending retry outlives its outcome."""
    build = commits.CommitBuilder.build

    def without(self, waiting, **more):
        commit = build(self, waiting, **more)
        commit.retries_cleared = []
        return commit

    patch.setattr(commits.CommitBuilder, "build", without)


@mutant
def counters_start_from_nothing(patch: Patch) -> None:
    """A resumed run forgets how many checkpoints there were."""
    start = coordinator.counters_at_start
    patch.setattr(
        coordinator, "counters_at_start", lambda *of, **more: replace(start(*of, **more), checkpoints=0)
    )


# -- ownership --------------------------------------------------------------------------------------


@mutant
def the_token_is_not_checked(patch: Patch) -> None:
    """Whoever was an owner once may write."""
    patch.setattr(virtual_store.VirtualStore, "admits", lambda self, token, position: True)
    patch.setattr(
        virtual_store.VirtualStore,
        "position",
        lambda self, token: transactions.Position(self.writes, self.round, len(self.segments), b""),
    )


@mutant
def an_unseen_commit_is_written_again(patch: Patch) -> None:
    """A transaction whose end was not seen is repeated without a look."""
    patch.setattr(transactions.Transactions, "_was_done", lambda self, what: False)


@mutant
def an_unseen_commit_is_believed(patch: Patch) -> None:
    """A transaction whose end was not seen counts as done."""

    def run(self, write, *, what=None):
        self.refuse_given_back()
        try:
            self._position = write(self._current())
        except StoreError as error:
            if type(error) is not StoreError:
                raise
            self._position = None
        return self._current()

    patch.setattr(transactions.Transactions, "run", run)


@mutant
def a_living_owner_is_replaced(patch: Patch) -> None:
    """Leases count for nothing."""
    patch.setattr(virtual_store, "keeps", lambda expires_at, now, *, alive: False)


# -- at-most-once -----------------------------------------------------------------------------------


@mutant
def a_lost_worker_leaves_no_doubt(patch: Patch) -> None:
    """What a worker had begun when it was lost runs again."""
    patch.setattr(accounting.Accounting, "doubt_lease", lambda self, held, begun, reason: None)


@mutant
def a_killed_call_is_a_failed_attempt(patch: Patch) -> None:
    """Who killed its worker, or was late, has told its outcome by that."""
    patch.setattr(accounting, "tells_outcome", lambda failure: True)


@mutant
def items_found_in_doubt_run_again(patch: Patch) -> None:
    """A new run believes that nothing without an outcome was called."""
    patch.setattr(doubts.Doubts, "found", lambda self, found: None)


@mutant
def a_lease_does_not_wait_for_its_intents(patch: Patch) -> None:
    """Items are called while their intents are on their way to the disk."""
    issue = intents.Intents.issue
    patch.setattr(intents.Intents, "issue", lambda self, ticket: issue(self, ticket + 1))


@mutant
def more_is_leased_than_may_be_in_doubt(patch: Patch) -> None:
    """The limit is off by one."""
    create = dealer.Dealer.__init__

    def init(self, *of, intent_limit, **more):
        create(self, *of, intent_limit=None if intent_limit is None else intent_limit + 1, **more)

    patch.setattr(dealer.Dealer, "__init__", init)


@mutant
def a_settled_failure_counts_towards_the_limit(patch: Patch) -> None:
    """A person's word stops the batch."""
    settle = accounting.Accounting.settle

    def settle_and_count(self, asked, at):
        failed = self._ledger.failed
        settle(self, asked, at)
        if self._ledger.failed > failed:
            self.tally.add(settled_failure(asked))

    patch.setattr(accounting.Accounting, "settle", settle_and_count)
    patch.setattr(
        state.ExecutionState,
        "_advance",
        lambda self, at, advance=state.ExecutionState._advance: (self._count_failures(), advance(self, at))[
            1
        ],
    )


# -- deferred items ---------------------------------------------------------------------------------


@mutant
def deferrals_are_forgotten_at_a_resume(patch: Patch) -> None:
    """A new run calls items again that wait for their event."""
    patch.setattr(deferrals.Deferrals, "found", lambda self, found: None)


@mutant
def a_deferral_is_cleared_too_early(patch: Patch) -> None:
    """The deferral and its event leave the disk before the outcome is there."""
    take = deferral_record.DeferralRecord.take

    def take_all(self, segments):
        changes = take(self, segments)
        cleared = [DeferralChange(index, attempt, None) for index, attempt in self._stored.items()]
        self._stored.clear()
        return changes or cleared

    patch.setattr(deferral_record.DeferralRecord, "take", take_all)


@mutant
def time_runs_out_before_the_store_was_asked(patch: Patch) -> None:
    """Who was out of reach has missed events that had come in time."""
    advance = state.ExecutionState._advance

    def expire_first(self, at):
        if self.phase is state.Phase.OPEN:
            self.accounting.hear([], at, up_to=at)
            self._count_failures()
        return advance(self, at)

    patch.setattr(state.ExecutionState, "_advance", expire_first)


@mutant
def what_runs_out_of_time_after_the_deciding_failure_is_called_again(patch: Patch) -> None:
    """The deferral is over, and nothing of it is recorded."""

    def hear(self, completions, at, *, up_to):
        for run in self.deferrals.succeed(completions):
            self._ledger.succeed(run.ranges)
            self._recorder.add_successes(run)
        for completion in completions:
            if (failure := self.deferrals.fail(completion)) is not None:
                self._deferred_failed(failure, at)
        for failure in self.deferrals.expire(up_to) if up_to is not None else ():
            self._deferred_failed(failure, at)

    patch.setattr(accounting.Accounting, "hear", hear)


# -- how a run ends ---------------------------------------------------------------------------------


@mutant
def the_limit_is_off_by_one(patch: Patch) -> None:
    """One failure more is tolerated than was asked for."""
    tolerated = ProcessingConfiguration.tolerated_failures
    create = tally.FailureTally.__init__

    def init(self, configuration, *, items):
        create(self, configuration, items=items)
        if configuration.strategy is not ErrorStrategy.CONTINUE_ON_ERROR:
            self.tolerated = (tolerated(configuration, items) or 0) + 1

    patch.setattr(tally.FailureTally, "__init__", init)


@mutant
def failures_after_the_deciding_one_are_recorded(patch: Patch) -> None:
    """What fails while a stopped run drains counts as failed, too."""

    def failed_for_good(self, failure):
        failure.final = True
        self._ledger.fail(failure.index)
        self._recorder.add_failure(failure)
        self.tally.add(failure)

    patch.setattr(accounting.Accounting, "_failed_for_good", failed_for_good)


@mutant
def the_deadline_counts_paused_time(patch: Patch) -> None:
    """A pause uses up the batch timeout."""
    resume = state.ExecutionState._resume

    def without(self, at):
        deadline = self._deadline
        commands = resume(self, at)
        self._deadline = deadline
        return commands

    patch.setattr(state.ExecutionState, "_resume", without)


@mutant
def paused_time_is_active_time(patch: Patch) -> None:
    """Pauses are counted as work, so that the next window of a recovered run is too short."""
    patch.setattr(state.ExecutionState, "_stand_still", lambda self, at: None)


@mutant
def a_terminal_event_has_no_id_of_its_own(patch: Patch) -> None:
    """Every response of an execution goes out under the same event id."""
    terminal = resumption.terminal_event
    patch.setattr(
        resumption,
        "terminal_event",
        lambda record, **more: terminal(replace(record, runs=1), **more),
    )


@mutant
def complete_with_open_items(patch: Patch) -> None:
    """A run that was cancelled says that it is complete."""
    close = state.ExecutionState._close
    patch.setattr(
        state.ExecutionState,
        "_close",
        lambda self, verdict: close(
            self, Verdict(Ending.COMPLETED) if verdict and verdict.ending is Ending.CANCELLED else verdict
        ),
    )


@mutant
def forget_who_comes_up_late(patch: Patch) -> None:
    """A holder that comes up while its node is not allocated is not there once it is."""
    join = Roster.join
    patch.setattr(
        Roster, "join", lambda self, message: join(self, message) if message.node_id in self._alive else None
    )


@mutant
def the_state_is_written_after_the_end(patch: Patch) -> None:
    """The last transaction does not wait for what the writer still has (found by the simulator itself)."""
    patch.setattr(coordinator.VirtualWriter, "is_idle", property(lambda self: True))
