"""Nine kinds of work, of which nobody is told how many at a time finish first.

Each item returns when it began, in nanoseconds of the wall clock, as in `benchmarks.processors`.
"""

import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from benchmarks.processors import loops_per_millisecond
from everyitem import RetryLater, item_processor

#: Calls at the same time beyond which the strained dependency slows down, and seconds of one below that.
COMFORTABLE: Final = 20
STRAINED_CALL: Final = 0.05
#: Calls a second the strict dependency answers, and seconds each takes, refused or not.
PERMITTED: Final = 50
STRICT_CALL: Final = 0.02
#: What a memory-hungry item takes, and seconds it keeps it.
HUNGRY_MB: Final = 60
HUNGRY_CALL: Final = 0.25
_PAGE: Final = 4096


class StrainedDependency:
    """A server whose latency rises with the square of the calls at the same time beyond `COMFORTABLE`."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._calls = 0

    def call(self) -> None:
        """Wait for an answer."""
        with self._guard:
            self._calls += 1
            seconds = STRAINED_CALL * max(1.0, self._calls / COMFORTABLE) ** 2
        time.sleep(seconds)
        with self._guard:
            self._calls -= 1


class StrictDependency:
    """A server that answers `PERMITTED` calls a second, a tenth of them at once, and refuses the others."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._tokens = 0.0
        self._counted_at = time.monotonic()

    def call(self) -> None:
        """Wait for an answer; raises `RetryLater` where it is a refusal."""
        time.sleep(STRICT_CALL)
        with self._guard:
            now = time.monotonic()
            self._tokens = min(PERMITTED / 10, self._tokens + (now - self._counted_at) * PERMITTED)
            self._counted_at = now
            if self._tokens < 1.0:
                raise RetryLater(1.0)
            self._tokens -= 1.0


_strained = StrainedDependency()
_strict = StrictDependency()


@item_processor("bench-strained")
def strained(item: Any, context: Any) -> Any:
    """Ask the dependency that slows down."""
    began = time.time_ns()
    _strained.call()
    return began


@item_processor("bench-strict")
def strict(item: Any, context: Any) -> Any:
    """Ask the dependency that refuses."""
    began = time.time_ns()
    _strict.call()
    return began


@item_processor("bench-hungry")
def hungry(item: Any, context: Any) -> Any:
    """Take memory, every page of it, and keep it for a while."""
    began = time.time_ns()
    taken = bytearray(item["megabytes"] << 20)
    taken[::_PAGE] = b"x" * len(range(0, len(taken), _PAGE))
    time.sleep(HUNGRY_CALL)
    return began


@item_processor("bench-timed-no-op")
def timed_no_op(item: Any, context: Any) -> Any:
    """Nothing but to say when."""
    return time.time_ns()


@dataclass(frozen=True, kw_only=True)
class Workload:
    """One kind of work and what it is allocated."""

    name: str
    processor: str
    #: One item, or some to take in turn.
    items: Sequence[Any]
    #: So many make a batch of some fifteen seconds at the best setting.
    count: int
    kind: str = "thread"
    slots: int = 40
    #: Items of a short batch for each slot, and at most: about a second.
    share: int
    most: int
    #: Megabytes of the node.
    memory_mb: int | None = None
    configuration: dict[str, Any] = field(default_factory=dict)

    def batch_items(self, count: int) -> list[Any]:
        """So many items."""
        return [self.items[number % len(self.items)] for number in range(count)]


def workloads() -> list[Workload]:
    """All nine."""
    chance = random.Random(20261130)
    skewed = [{"seconds": 0.2 if chance.random() < 0.01 else 0.005} for _ in range(5_000)]
    return [
        Workload(
            name="1 ms of pure Python on processes",
            processor="bench-work",
            items=[{"loops": loops_per_millisecond()}],
            count=20_000,
            kind="process",
            slots=8,
            share=1_000,
            most=2_500,
        ),
        _waiting(0.001, count=180_000, share=500, most=5_000),
        _waiting(0.01, count=45_000, share=100, most=3_000),
        _waiting(0.1, count=6_000, share=15, most=600),
        Workload(
            name=f"a dependency that slows down beyond {COMFORTABLE} calls at the same time",
            processor="bench-strained",
            items=[{}],
            count=6_000,
            share=25,
            most=500,
        ),
        Workload(
            name=f"a dependency that refuses beyond {PERMITTED} calls a second",
            processor="bench-strict",
            items=[{}],
            count=750,
            share=60,
            most=120,
        ),
        Workload(
            name="1 % of the sleeps forty times as long",
            processor="bench-sleep",
            items=skewed,
            count=60_000,
            share=150,
            most=6_000,
        ),
        Workload(
            name=f"{HUNGRY_MB} MB each on processes that may take 512 MB",
            processor="bench-hungry",
            items=[{"megabytes": HUNGRY_MB}],
            count=300,
            kind="process",
            slots=8,
            share=6,
            most=40,
            memory_mb=512,
        ),
        Workload(
            name="no-ops",
            processor="bench-timed-no-op",
            items=[{}],
            count=400_000,
            share=20_000,
            most=20_000,
        ),
    ]


def _waiting(seconds: float, *, count: int, share: int, most: int) -> Workload:
    return Workload(
        name=f"waiting for {seconds * 1000:g} ms",
        processor="bench-sleep",
        items=[{"seconds": seconds}],
        count=count,
        share=share,
        most=most,
    )
