"""Deferred items: the processor has returned, and what came of the item will be told by an event.

Pure. A deferral is on disk before its event can count: the store matches events with recorded deferrals, so
one that comes early waits there. A deferral runs out when its time is over and the store was asked after that
and knew of no event: no event that came in time is ever late, however long the store was out of reach.
"""

import heapq
from collections.abc import Iterable, Sequence

import msgspec

from everyitem.engine.ledger import Ledger, Mark
from everyitem.engine.recorder import Recorder
from everyitem.model.errors import ErrorCode
from everyitem.model.outcome import Failure, Successes, join_texts
from everyitem.ports.completions import Completion
from everyitem.ports.deferral import DeferralChange

#: The type of the failure of an attempt whose event did not come in time.
DEFERRAL_TIMEOUT = "DeferralTimeout"

#: No attempt that was deferred is excused by the circuit breaker: it would be repeated under its number, and
#: a late event of the call before would complete it.
_COUNTS = True


class OpenDeferral(msgspec.Struct, frozen=True, gc=False):
    """A deferral as a run knows it."""

    index: int
    attempt: int
    #: In the state machine's own time (monotonic seconds).
    due: float
    #: How long the call took that returned it, in microseconds.
    duration_us: int = 0
    #: Seconds it was given, where this run saw it begin; for the message when they are over.
    timeout: float | None = None


class Deferrals:
    """Which items are deferred in this run, and until when."""

    def __init__(self, ledger: Ledger, recorder: Recorder) -> None:
        self._ledger = ledger
        self._recorder = recorder
        self._by_index: dict[int, OpenDeferral] = {}
        #: (when it runs out, index, attempt) of those on disk, and of some that are over already.
        self._dues: list[tuple[float, int, int]] = []
        #: (ticket, deferral) of those that are not on disk yet.
        self._unsaved: list[tuple[int, OpenDeferral]] = []

    def __len__(self) -> int:
        return len(self._by_index)

    def found(self, deferrals: Iterable[OpenDeferral]) -> None:
        """Take over the deferrals an earlier run left behind, as far as their items are open."""
        for one in deferrals:
            if self._ledger.mark(one.index) == Mark.OPEN:
                self._ledger.defer(one.index)
                self._by_index[one.index] = one
                heapq.heappush(self._dues, (one.due, one.index, one.attempt))

    def add(self, failure: Failure, at: float) -> None:
        """The call of a leased item has returned a `Deferred`; recorded with the next save."""
        timeout = failure.deferred or 0.0
        deferral = OpenDeferral(failure.index, failure.attempt, at + timeout, failure.duration_us, timeout)
        self._ledger.defer(failure.index)
        self._by_index[deferral.index] = deferral
        ticket = self._recorder.defer(
            DeferralChange(deferral.index, deferral.attempt, deferral.due, deferral.duration_us)
        )
        self._unsaved.append((ticket, deferral))

    def saved(self, ticket: int, at: float) -> None:
        """Save `ticket` is durable: events find the deferrals in it from now on, and not before."""
        if not self._unsaved or self._unsaved[0][0] > ticket:
            return
        for needed, one in self._unsaved:
            if needed <= ticket:
                heapq.heappush(self._dues, (max(one.due, at), one.index, one.attempt))
        self._unsaved = [one for one in self._unsaved if one[0] > ticket]

    def take(self, index: int, attempt: int) -> OpenDeferral | None:
        """End the deferral of this attempt: its item awaits its outcome like a leased one from now on.

        None where the item is not deferred (any more), or by another attempt.
        """
        deferral = self._by_index.get(index)
        if deferral is None or deferral.attempt != attempt:
            return None
        del self._by_index[index]
        self._ledger.end_deferral(index)
        return deferral

    def succeed(self, completions: Sequence[Completion]) -> Iterable[Successes]:
        """The successes these events tell of, as few runs as can be; whatever comes too late is left out."""
        by_attempt: dict[int, list[tuple[int, int, bytes]]] = {}
        for one in completions:
            if one.failure is None and (deferral := self.take(one.index, one.attempt)) is not None:
                told = by_attempt.setdefault(one.attempt, [])
                told.append((one.index, deferral.duration_us, one.result))
        for attempt, told in by_attempt.items():
            yield Successes(
                [(index, 1) for index, _, _ in told],
                attempt,
                [duration for _, duration, _ in told],
                join_texts([text for _, _, text in told]),
            )

    def fail(self, completion: Completion) -> Failure | None:
        """The failed attempt an event tells of; final unless it says that it may be tried again."""
        said = completion.failure
        deferral = self.take(completion.index, completion.attempt) if said is not None else None
        if said is None or deferral is None:
            return None
        return Failure(
            completion.index,
            completion.attempt,
            ErrorCode(said.code),
            said.type,
            said.message,
            deferral.duration_us,
            permanent=not said.retryable,
            innate=_COUNTS,
        )

    def expire(self, heard_at: float) -> Iterable[Failure]:
        """The attempts whose time was over when the store was asked for events, and knew of none.

        Their deferral ends on disk with the retry, or the outcome, that follows.
        """
        while self._dues and self._dues[0][0] <= heard_at:
            _, index, attempt = heapq.heappop(self._dues)
            deferral = self.take(index, attempt)
            if deferral is None:
                continue
            given = "its time" if deferral.timeout is None else f"{deferral.timeout:g} s"
            yield Failure(
                index,
                attempt,
                ErrorCode.TIMEOUT_ERROR,
                DEFERRAL_TIMEOUT,
                f"no ItemProcessingCompleted for attempt {attempt} has come within {given} (Deferred)",
                deferral.duration_us,
                innate=_COUNTS,
            )
