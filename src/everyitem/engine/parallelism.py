"""Finding the parallelism that finishes first: windows of observations in, grow, shrink or hold out.

Pure: no clock, no threads, no I/O. What helps is not guessed from the kind of work but tried, and kept where
it pays:

1. *Climb*: twice as many slots, as long as throughput follows and all slots are used (slow start).
2. *Refine*: between the last number that paid and the first that did not, halve the gap.
3. *Probe*: hold, and now and then try a few more or fewer: the work, or what it depends on, may have changed.

Failed and throttled attempts lower the score of a window, so a dependency that refuses or slows down under
load is given way to; items that fail however few run at a time lower the scores of all numbers alike, and
decide nothing. Among numbers that are equally good the smallest wins: work that needs the processor stays
within the cores, because more slots do not make it faster. What fewer slots cost is counted, and bounded
over all steps together. The ideas are those of Netflix's concurrency-limits (gradient, growing only while
the limit is used) and of TCP's slow start.
"""

from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from typing import Final

from everyitem.model.wording import many

#: Doubling pays when throughput rises by this much, be that ever so little for so many slots.
WORTH_GROWING: Final = 0.03
#: ... and by this part of what it would at most where all that was added was used: the best is not between.
IN_PROPORTION: Final = 0.75
#: Fewer slots are as good when throughput falls by no more than this; more are better when it rises by more.
AS_GOOD: Final = 0.02
#: What differs by more than this needs no exact measuring.
CLEAR: Final = 0.15
#: More slots that lose this much are far too many: the best is near those that were best so far.
FAR: Final = 0.3
#: The part of the slots that must be busy for more of them to be of any use.
USED: Final = 0.6
#: Windows without a probe: at first, and when probe after probe finds nothing better.
PATIENCE: Final = 6
MOST_PATIENCE: Final = 48
#: The part of the throughput that may be lost to probes with fewer slots.
PROBING: Final = 0.02
#: A score that moves by more than this says that the work has changed.
CHANGED: Final = 0.3
#: Of all attempts; more failures than before by this is a reason to see whether fewer slots help.
FAILING: Final = 0.1
#: With so many calls one after the other in each slot, counting outcomes is exact enough.
MANY_ROUNDS: Final = 50


class Move(StrEnum):
    """What is done about the slots in use."""

    GROW = "grow"
    SHRINK = "shrink"
    HOLD = "hold"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """How many slots are in use from a moment on (monotonic seconds), and why."""

    at: float
    move: Move
    slots: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What was observed while the number of slots stayed the same."""

    slots: int
    seconds: float
    succeeded: int
    #: Attempts that failed or asked to be called later.
    failed: int
    #: Seconds slots were busy with items, over all of them.
    busy: float

    @property
    def attempts(self) -> int:
        return self.succeeded + self.failed

    @property
    def used(self) -> float:
        """The part of the slots that was busy; above 1 where calls end here that began before."""
        return self.busy / (self.seconds * self.slots) if self.seconds > 0 else 0.0

    @property
    def failing(self) -> float:
        """The part of the attempts that did not succeed, 0 to 1."""
        return self.failed / self.attempts if self.attempts else 0.0

    @property
    def score(self) -> float:
        """Successes per second; the less, the more attempts were in vain.

        Few calls per slot end in step with each other, and counting them depends on where the window was
        cut. How long they took does not: by Little's law it says the same.
        """
        rate = self.succeeded / self.seconds if self.seconds > 0 else 0.0
        if self.used >= USED and self.attempts < MANY_ROUNDS * self.slots:
            rate /= self.used
        return rate * (1.0 - self.failing)


class _Phase(Enum):
    CLIMB = auto()
    REFINE = auto()
    HOLD = auto()
    PROBE = auto()


class ParallelismController:
    """Decides how many slots are in use, between `least` and `most`."""

    def __init__(self, *, slots: int, least: int, most: int) -> None:
        self.least = least
        self.most = most
        #: Slots in use.
        self.slots = slots
        self._phase = _Phase.CLIMB
        #: Score of the best number so far, and which that is.
        self._reference = 0.0
        self.best = slots
        #: What was given up for fewer slots so far, as a part of the throughput: 0 or less.
        self._given = 0.0
        self._failing = 0.0
        #: Numbers on either side of the best that are known to be worse.
        self._low = least - 1
        self._high = most + 1
        #: What the upper of them loses, where nothing below it was better than the best.
        self._loss = 0.0
        self._patience = PATIENCE
        self._held = 0
        self._direction = 1
        self._step = 0

    @property
    def is_climbing(self) -> bool:
        """Whether it takes large steps, for which short windows do."""
        return self._phase is _Phase.CLIMB

    def is_clear(self, window: Window) -> bool:
        """Whether a window that is short, but belongs to a number that is tried, says enough."""
        if self._phase not in (_Phase.REFINE, _Phase.PROBE) or not self._reference:
            return False
        return abs(window.score / self._reference - 1) > CLEAR

    def limit(self, most: int, at: float, reason: str) -> Decision:
        """No more than `most` can be used from now on (nodes came or went, memory is short)."""
        before, former, self.most = self.slots, self.most, max(1, most)
        self.least = min(self.least, self.most)
        self._high = self.most + 1
        self.best = min(self.best, self.most)
        if before <= self.most:
            self._low = min(self._low, before - 1)
            if before == former < self.most and self._phase in (_Phase.HOLD, _Phase.PROBE):
                # that it could not be more is what has kept it there
                return self._follow_limit(at, reason)
            return self._hold(at, reason)
        self._start_holding(self.most)
        self._reference = self._given = 0.0
        return self._move(at, self.most, reason)

    def allow(self, least: int, most: int, at: float, reason: str) -> Decision:
        """So many slots are allocated from now on: the search for the best number begins anew."""
        least = min(least, most)
        slots = min(max(self.slots, least), most)
        self.least, self.most = least, most
        self._phase, self._reference, self._given, self.best = _Phase.CLIMB, 0.0, 0.0, slots
        self._low, self._high = least - 1, most + 1
        self._patience, self._held = PATIENCE, 0
        return self._move(at, slots, reason)

    def observe(self, at: float, window: Window) -> Decision:
        """Take note of a window at the present number of slots, and decide."""
        if window.slots != self.slots or not window.attempts:
            return self._hold(at, "nothing was observed")
        match self._phase:
            case _Phase.CLIMB:
                return self._climb(at, window)
            case _Phase.REFINE:
                return self._refine(at, window)
            case _Phase.PROBE:
                return self._judge_probe(at, window)
            case _Phase.HOLD:
                return self._watch(at, window)

    # -- climbing ---------------------------------------------------------------------------------

    def _climb(self, at: float, window: Window) -> Decision:
        score = window.score
        if self._reference and self.slots != self.best:
            gain, possible = score / self._reference - 1, self.slots / self.best - 1
            if gain < WORTH_GROWING:
                self._high, self._loss = self.slots, -gain
                self._given = min(0.0, -gain)
                return self._narrow(at, _rise(self.slots, self.best, gain))
            self._low = self.best if gain < IN_PROPORTION * possible else self.slots - 1
        self._take(window)
        if window.used < USED:
            return self._hold(at, f"{_share(window.used)} of the slots are busy: more are of no use")
        more = min(2 * self.slots, self.most)
        if more == self.slots:
            return self._narrow(at, f"all there are ({many(self.slots, 'slot')})")
        return self._move(at, more, f"{_share(window.used)} of the slots are busy")

    # -- refining ---------------------------------------------------------------------------------

    def _narrow(self, at: float, reason: str) -> Decision:
        """Try the middle of the wider gap beside the best number, until both are narrow."""
        enough = max(1, self.best // 16)
        below, above = self.best - self._low, self._high - self.best
        if max(below, above) <= enough:
            return self._settle(at, reason)
        self._phase = _Phase.REFINE
        if below >= above:
            return self._move(at, self.best - below // 2, reason)
        part = 8 if self._loss > FAR else 2
        return self._move(at, self.best + max(1, above // part), reason)

    def _refine(self, at: float, window: Window) -> Decision:
        gain = window.score / self._reference - 1 if self._reference else 0.0
        reason = _rise(self.slots, self.best, gain)
        if self._is_better(gain):
            if self.slots < self.best:
                self._high = self.best
            else:
                self._low, self._loss = self.best, 0.0
            self._take(window, gain)
        elif self.slots < self.best:
            self._low = self.slots
        else:
            self._high, self._loss = self.slots, -gain
        return self._narrow(at, reason)

    def _is_better(self, gain: float) -> bool:
        # many small steps down are one large one
        return self._given + gain >= -AS_GOOD if self.slots < self.best else gain > AS_GOOD

    def _settle(self, at: float, reason: str) -> Decision:
        slots = self.best
        self._start_holding(slots)
        return self._move(at, slots, reason)

    # -- holding and probing ----------------------------------------------------------------------

    def _watch(self, at: float, window: Window) -> Decision:
        """Hold, unless it is time for a probe or there is reason for one."""
        score, before = window.score, self._reference
        self._held += 1
        is_failing = window.failing > self._failing + FAILING
        has_changed = before > 0 and abs(score / before - 1) > CHANGED
        self._reference = score if has_changed or not before else 0.7 * before + 0.3 * score
        if has_changed:
            # nothing that was learnt about other numbers holds any more
            self._patience, self._direction, self._held, self._step = PATIENCE // 2, 1, 0, 0
            self._given = 0.0
        if is_failing and self.slots > self.least:
            self._failing = window.failing
            self._direction = -1
            step = max(1, self.slots // 4)
            return self._probe(at, step, f"{window.failing:.0%} of the attempts fail")
        if window.used < USED:
            return self._hold(at, "holding")
        turned = -1 if self.slots >= self.most else 1 if self.slots <= self.least else self._direction
        if turned != self._direction:
            self._direction = turned
            if self._step:
                # long strides led here, and are none to go back by
                self._step, self._patience = 0, PATIENCE
        step = self._step or max(1, self.slots // 8)
        # one slot less of two costs half of what is done meanwhile
        dear = step / self.slots / PROBING if self._direction < 0 and not self._step else 0.0
        if self._held < max(self._patience, dear):
            return self._hold(at, "holding")
        return self._probe(at, step, "probing")

    def _follow_limit(self, at: float, reason: str) -> Decision:
        if self._phase is _Phase.HOLD:
            self.best = self.slots
        # a quarter at a time: memory that is left for some more need not be left for all
        step = min(self.most - self.slots, max(1, self.slots // 4))
        self._phase, self._direction, self._step = _Phase.PROBE, 1, step
        return self._move(at, self.slots + step, reason)

    def _probe(self, at: float, step: int, reason: str) -> Decision:
        target = min(self.most, max(self.least, self.slots + self._direction * step))
        if target == self.slots:
            self._held = 0
            return self._hold(at, reason)
        self.best = self.slots
        self._step = step
        self._phase = _Phase.PROBE
        return self._move(at, target, reason)

    def _judge_probe(self, at: float, window: Window) -> Decision:
        gain = window.score / self._reference - 1 if self._reference else 0.0
        reason = _rise(self.slots, self.best, gain)
        if not self._reference or self._is_better(gain):
            # so far so good: soon on, in the same direction, with longer strides
            step = 2 * self._step
            self._take(window, gain)
            self._start_holding(self.slots)
            self._step, self._patience = step, 1
            return self._hold(at, reason)
        before, patience = self.best, min(MOST_PATIENCE, max(PATIENCE, 2 * self._patience))
        self._start_holding(before)
        self._patience, self._direction = patience, -self._direction
        return self._move(at, before, reason)

    # -- what they share --------------------------------------------------------------------------

    def _take(self, window: Window, gain: float = 0.0) -> None:
        """The present number is the best so far; `gain` is what it has over the one before."""
        self.best = self.slots
        self._reference = window.score
        self._given = min(0.0, self._given + gain)
        self._failing = window.failing

    def _start_holding(self, slots: int) -> None:
        self._phase, self.best, self._held, self._step = _Phase.HOLD, slots, 0, 0

    def _hold(self, at: float, reason: str) -> Decision:
        return Decision(at=at, move=Move.HOLD, slots=self.slots, reason=reason)

    def _move(self, at: float, slots: int, reason: str) -> Decision:
        before, self.slots = self.slots, slots
        move = Move.HOLD if slots == before else Move.GROW if slots > before else Move.SHRINK
        return Decision(at=at, move=move, slots=slots, reason=reason)


def _share(used: float) -> str:
    return f"{min(1.0, used):.0%}"


def _rise(slots: int, before: int, gain: float) -> str:
    side = "above" if gain > 0 else "below"
    return f"throughput with {many(slots, 'slot')} is {abs(gain):.0%} {side} that with {before}"
