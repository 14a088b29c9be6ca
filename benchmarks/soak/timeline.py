"""Where the time of a soak went. Pure: ends of calls and strikes in, gaps out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

#: Seconds in which some item of the soak ends for certain while a few slots are at work.
NORMAL = 1.0


@dataclass(frozen=True, slots=True)
class Strike:
    """What was done to a run, and when (monotonic seconds; `until` is when it was undone)."""

    kind: str
    at: float
    until: float


@dataclass(frozen=True, slots=True)
class Gap:
    """A time in which no item ended though some were open."""

    began: float
    ended: float
    #: What struck in it; empty where nothing did.
    cause: str

    @property
    def seconds(self) -> float:
        return self.ended - self.began


def gaps(
    ends: Iterable[float], strikes: Sequence[Strike], *, began: float, ended: float, normal: float = NORMAL
) -> list[Gap]:
    """The times longer than `normal` without an end of a call, from `began` to `ended`.

    What struck within `normal` before a gap counts as its cause, too: calls that were under way still end.
    A run that begins takes its time, which is no gap: `began` is best the end of the first call.
    """
    found = []
    before = began
    for at in (*sorted(ends), ended):
        if at - before > normal:
            causes = [strike.kind for strike in strikes if strike.at < at and strike.until > before - normal]
            found.append(Gap(before, at, causes[-1] if causes else ""))
        before = at
    return found


def lost(found: Iterable[Gap], *causes: str) -> float:
    """Seconds of the gaps with one of these causes."""
    return sum(gap.seconds for gap in found if gap.cause in causes)
