"""The circuit breaker: an outage of what items depend on must not cost them their attempts.

    CLOSED ── most first attempts fail alike ──▶ OPEN ── wait ──▶ one call as a probe
       ▲                                           ▲                   │ fails alike: a longer wait
       └── as many calls at a time as ever ── HALF OPEN ◀── succeeds ──┘

Pure. *Alike* is the same family of errors, or the same code and class where a class belongs to none: one
outage shows as a connection refused, then reset, then silent (`Failure.family`, which the worker tells).
What speaks of the item or the code is never an outage: `PermanentItemError`, unusable results, dead workers,
and exceptions whose class says so (`ValueError`, `KeyError`, ...; see `Failure.innate`). Only first attempts
count as evidence: items that fail again and again while others succeed are bad, however many of them are left
at the end. And something must have succeeded in this run, or the errors must be those of connections: code
that never worked is no outage.

An attempt that failed by the outage is excused: it uses up no retry, like `RetryLater`. That holds for
those that were the evidence, too.
"""

import math
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

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
        self._recent = _Evidence(EVIDENCE)
        self._has_succeeded = False
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

    def stand_still(self, at: float) -> None:
        """Until now nothing could have succeeded for other reasons (a pause)."""
        self._idle_since = at

    def succeeded(self, at: float, count: int) -> None:
        """So many attempts have succeeded."""
        self._has_succeeded = True
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
            self._close(at)
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
        if not self._has_succeeded and cause != UNREACHABLE:
            return False
        if self._recent.needed > EVIDENCE and at - self._closed_at > SPAN:
            self._recent.need(EVIDENCE)
        return self._recent.share(cause, since=at - SPAN) >= MOSTLY

    def _open(self, cause: str, at: float) -> None:
        self.standing, self.cause = Standing.OPEN, cause
        self._named = _in_words(self._recent.types(cause))
        self._since = self._idle_since = at
        self.openings += 1
        self._wait = FIRST_WAIT
        self._has_failed_probe = False
        self._in_a_row = 0
        self._probe_again(at, FIRST_WAIT)

    def _probe_again(self, at: float, wait: float) -> None:
        self._is_probing = False
        self._probe_at = at + wait

    def _close(self, at: float) -> None:
        self.standing, self.cause, self._named = Standing.CLOSED, "", ""
        self._closed_at = at
        # the very first probe succeeded: it may have been items after all, so the next time takes more
        more = min(MOST_EVIDENCE, 2 * self._recent.needed)
        self._recent = _Evidence(EVIDENCE if self._has_failed_probe else more)


class _Evidence:
    """The latest `needed` attempts that say something, and how many of them say what."""

    def __init__(self, needed: int) -> None:
        self.needed = needed
        #: (when, cause or empty for successes, index, type of the error, how many), the latest last.
        self._runs: deque[tuple[float, str, int, str, int]] = deque()
        self._size = 0
        self._alike: dict[str, int] = {}

    def add(self, at: float, cause: str, index: int = -1, type_: str = "", *, count: int = 1) -> None:
        """One more; of successes any number."""
        if count >= self.needed:
            count = self.needed
            self._runs.clear()
            self._alike.clear()
            self._size = 0
        self._runs.append((at, cause, index, type_, count))
        self._alike[cause] = self._alike.get(cause, 0) + count
        self._size += count
        if self._size > self.needed:
            self._forget(self._size - self.needed)

    def share(self, cause: str, *, since: float) -> float:
        """The part of them with this cause; 0 while there are not as many as needed, from `since` on."""
        if self._size < self.needed or self._runs[0][0] < since:
            return 0.0
        return self._alike.get(cause, 0) / self.needed

    def items(self, cause: str) -> list[int]:
        """The items that failed by it."""
        return [index for _, one, index, _, _ in self._runs if one == cause]

    def types(self, cause: str) -> list[str]:
        """The types of their errors, the most frequent first."""
        found = Counter(type_ for _, one, _, type_, _ in self._runs if one == cause)
        return [type_ for type_, _ in found.most_common()]

    def need(self, needed: int) -> None:
        """So many count from now on."""
        self.needed = needed
        if self._size > needed:
            self._forget(self._size - needed)

    def _forget(self, count: int) -> None:
        """Let go of the oldest."""
        runs = self._runs
        self._size -= count
        while count:
            at, cause, index, type_, length = runs.popleft()
            gone = min(count, length)
            if gone < length:
                runs.appendleft((at, cause, index, type_, length - gone))
            count -= gone
            self._alike[cause] -= gone
            if not self._alike[cause]:
                del self._alike[cause]


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
