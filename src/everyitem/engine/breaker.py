"""The circuit breaker: an outage of what items depend on must not cost them their attempts.

    CLOSED ── most first attempts fail alike ──▶ OPEN ── wait ──▶ one call as a probe
       ▲                                           ▲                   │ fails alike: a longer wait
       └── as many calls at a time as ever ── HALF OPEN ◀── succeeds ──┘

Pure. *Alike* is the same family of errors, or the same code and class where a class belongs to none: one
outage shows as a connection refused, then reset, then silent (`Failure.family`, which the worker tells).
What speaks of the item or the code is never an outage: `PermanentItemError`, unusable results, dead workers,
and exceptions whose class says so (`ValueError`, `KeyError`, ...; see `Failure.innate`). Only first attempts
count as evidence: items that fail again and again while others succeed are bad, however many of them are left
at the end.

Most items may fail alike because they are bad, and then waiting would help nobody. So it is no outage
- before most of what began has succeeded, but for connections and the like: code that never worked is none;
- by what many items have failed for good anyway, in spite of their retries;
- when those that were excused fail again and again while others succeed, and none of them ever does.

An attempt that failed by the outage is excused: it uses up no retry, like `RetryLater`. That holds for
those that were the evidence, too.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from everyitem.engine.evidence import WELL, Alibis, Evidence, Shares
from everyitem.model.errors import ErrorCode
from everyitem.model.outcome import UNREACHABLE, Failure

#: So many first attempts are looked at, and this part of them must have failed alike.
EVIDENCE: Final = 10
MOST_EVIDENCE: Final = 640
MOSTLY: Final = 0.8
#: Evidence older than this many seconds is no evidence any more; nor is it remembered that one was false.
SPAN: Final = 60.0
#: Seconds until the first probe, and between later ones at most.
FIRST_WAIT: Final = 1.0
MOST_WAIT: Final = 5.0
#: Items fail for good anyway: where so many have lately, and this part of all, more evidence is needed; where
#: it is half of them by one cause, none is enough.
CONVICTED: Final = 5
OFTEN: Final = 0.2
MORE_EVIDENCE: Final = 40
HALF: Final = 0.5
#: Half open: so many failures alike without a success between them open it again.
AGAIN: Final = 3
#: Codes of failures that may be an outage's.
_CODES: Final = (ErrorCode.ITEM_ERROR, ErrorCode.TIMEOUT_ERROR)
#: Classes of errors that are named to people, of those an outage shows as.
_MOST_NAMED: Final = 3


class Standing(StrEnum):
    """What the breaker lets begin: everything, nothing but probes, or more and more."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half open"


@dataclass(frozen=True, slots=True)
class BreakerView:
    """The breaker at one moment, for displays and alerts."""

    standing: Standing = Standing.CLOSED
    #: What failures have in common that are alike (`cause_of`); empty when closed.
    cause: str = ""
    #: What most items failed with when it opened: classes of errors, in words for people.
    named: str = ""
    #: Monotonic seconds since which it is not closed.
    since: float = 0.0
    #: How often it has opened in this run.
    openings: int = 0


class Breaker:
    """Watches attempts end, and says how many calls may be in flight."""

    def __init__(self) -> None:
        self.standing = Standing.CLOSED
        self.cause = self._named = ""
        self.openings = 0
        self._since = self._idle_since = 0.0
        #: The latest first attempts, and what there was before them and was no outage.
        self._recent = Evidence(EVIDENCE, Shares())
        #: What succeeded, and what failed for good in spite of retries, by cause.
        self._decided = Shares()
        self._alibis = Alibis()
        self._closed_at = 0.0
        self._wait = FIRST_WAIT
        self._probe_at = 0.0
        self._is_probing = False
        self._has_failed_probe = False
        self._share = 0
        self._in_a_row = 0

    @property
    def view(self) -> BreakerView:
        """What is shown of it."""
        return BreakerView(self.standing, self.cause, self._named, self._since, self.openings)

    @property
    def idle_since(self) -> float:
        """Since when nothing has succeeded while it was not closed; infinity where it is closed."""
        return math.inf if self.standing is Standing.CLOSED else self._idle_since

    @property
    def probing_since(self) -> float:
        """What began before this was under way, and says nothing of it; minus infinity when closed."""
        return -math.inf if self.standing is Standing.CLOSED else self._since + FIRST_WAIT

    def goes_on(self, at: float) -> None:
        """Until now nothing was idle: something succeeded, or could not for other reasons (a pause)."""
        self._idle_since = at

    def acquit(self, index: int) -> None:
        """An item has succeeded that began after `probing_since`, while it was not closed."""
        self._alibis.succeeded(index)

    def gave_up(self, failure: Failure) -> None:
        """An item has failed for good."""
        cause = cause_of(failure)
        if cause and failure.attempt > 1:
            # with no retries, those by which an outage is noticed fail for good as well
            self._decided.add(cause)

    def succeeded(self, at: float, count: int) -> None:
        """So many attempts have succeeded, of those that began after `probing_since`."""
        self._decided.add(WELL, count)
        if self.standing is Standing.CLOSED:
            self._recent.add(at, "", count=count)
            return
        self._in_a_row = 0
        self._idle_since = at
        if self.standing is Standing.HALF_OPEN:
            self._share += count
        elif self._is_probing:
            self.standing = Standing.HALF_OPEN
            self._share = 1 + count

    def failed(self, failure: Failure, at: float) -> float | None:
        """An attempt has failed: None where it counts, else the seconds after which it may be repeated."""
        cause = cause_of(failure)
        if self.standing is Standing.CLOSED:
            if failure.attempt == 1 and failure.retry_after is None:
                # what is no outage speaks against one, as a success does
                self._recent.add(at, cause, failure.index, failure.type)
                if cause and self._is_outage(cause, at):
                    self._open(cause, at)
                    return FIRST_WAIT
            return None
        if cause != self.cause:
            if self._is_probing:
                # it says nothing; another item may
                self._probe_again(at, FIRST_WAIT)
            return None
        if self._alibis.are_false(failure.index, at):
            self._decided.add(cause, self._alibis.withdraw())
            self._close(at, was_outage=False)
            return None
        self._alibis.excuse(failure.index)
        self._in_a_row += 1
        if self.standing is Standing.HALF_OPEN and self._in_a_row >= AGAIN:
            self.standing = Standing.OPEN
            self._has_failed_probe = True
            self._probe_again(at, self._wait)
        elif self._is_probing and self.standing is Standing.OPEN:
            self._has_failed_probe = True
            self._wait = min(MOST_WAIT, 2 * self._wait)
            self._probe_again(at, self._wait)
        return FIRST_WAIT

    def excused(self) -> list[int]:
        """The items whose failures were the evidence it opened by."""
        return self._recent.items(self.cause)

    def allowance(self, at: float, *, leased: int, slots: int, unit: int) -> int | None:
        """How many more items may begin now; None for as many as there are slots for."""
        if self.standing is Standing.HALF_OPEN and self._share >= slots:
            # the very first probe succeeded: it may have been items after all
            self._close(at, was_outage=self._has_failed_probe)
        if self.standing is Standing.CLOSED:
            return None
        if self.standing is Standing.HALF_OPEN:
            return max(0, self._share * unit - leased)
        return unit if at >= self._probe_at and not self._is_probing else 0

    def probes(self) -> None:
        """Something was told to begin; where it is open, that is the probe."""
        if self.standing is Standing.OPEN:
            self._is_probing = True

    def nothing_runs(self, at: float) -> None:
        """No lease is in force: a probe without an outcome was given back, and is no probe any more."""
        if self.standing is Standing.OPEN and self._is_probing:
            self._probe_again(at, FIRST_WAIT)

    def next_at(self) -> float | None:
        """When the next probe is due."""
        return self._probe_at if self.standing is Standing.OPEN and not self._is_probing else None

    def _is_outage(self, cause: str, at: float) -> bool:
        least = self._least_evidence()
        if self._recent.needed < least or (self._recent.needed > least and at - self._closed_at > SPAN):
            self._recent.need(least)
        return self._recent.share(cause, since=at - SPAN) >= MOSTLY and self._is_believed(cause)

    def _least_evidence(self) -> int:
        """How many first attempts are looked at, if there was no false alarm."""
        failed = self._decided.total - self._decided.count(WELL)
        fail_often = failed >= CONVICTED and failed >= OFTEN * self._decided.total
        return MORE_EVIDENCE if fail_often else EVIDENCE

    def _is_believed(self, cause: str) -> bool:
        """Whether it may be an outage, as far as is known from before."""
        if self._decided.count(cause) >= CONVICTED and self._decided.of(cause) >= HALF:
            return False
        before = self._recent.before
        return cause == UNREACHABLE or (before.total >= EVIDENCE and before.of(WELL) >= HALF)

    def _open(self, cause: str, at: float) -> None:
        self.standing, self.cause = Standing.OPEN, cause
        self._named = _in_words(self._recent.types(cause))
        self._since = self._idle_since = at
        self.openings += 1
        self._wait = FIRST_WAIT
        self._has_failed_probe = False
        self._in_a_row = 0
        for index in self._recent.items(cause):
            self._alibis.excuse(index)
        self._probe_again(at, FIRST_WAIT)

    def _probe_again(self, at: float, wait: float) -> None:
        self._is_probing = False
        self._probe_at = at + wait

    def _close(self, at: float, *, was_outage: bool) -> None:
        self.standing, self.cause, self._named = Standing.CLOSED, "", ""
        self._closed_at = at
        # after a false alarm the next one takes more
        more = min(MOST_EVIDENCE, 2 * self._recent.needed)
        self._recent = Evidence(EVIDENCE if was_outage else more, self._recent.before)


def cause_of(failure: Failure) -> str:
    """What failures have in common that are alike; empty for what is no outage whoever else it happens to."""
    if failure.permanent or failure.retry_after is not None or failure.innate or failure.alone:
        return ""
    if failure.code not in _CODES or failure.type == "UnusableResult":
        return ""
    return failure.family or f"{failure.code} {failure.type}"


def _in_words(types: Sequence[str]) -> str:
    """`A`, `A or B`, `A, B or C`, `A, B, C or others like them`."""
    named = [*types[:_MOST_NAMED], *(["others like them"] if len(types) > _MOST_NAMED else [])]
    return " or ".join([", ".join(named[:-1]), named[-1]] if len(named) > 1 else named)
