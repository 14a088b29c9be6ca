"""Measuring: interleaved pairs in one run, and what is said about them.

Machines differ and one machine differs from minute to minute, so a figure is a ratio: ours and the bare
comparator run one after the other, many times, the order changing from pair to pair. The median of the
pairs' ratios is the figure; smallest, largest and a bootstrap interval of the median say how far to trust it.
"""

import gc
import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

Ours = TypeVar("Ours")
Bare = TypeVar("Bare")


@dataclass(frozen=True, kw_only=True)
class Options:
    """How thorough a run of the benchmarks is."""

    #: How often ours and the comparator are run against each other.
    pairs: int
    #: Fewer items: to see that a benchmark works, not to quote figures.
    quick: bool
    #: For stores and documents; on a real disk, or an fsync costs nothing.
    directory: Path
    #: Of a case that measures many kinds of work: those whose names contain this.
    only: str = ""

    def items(self, full: int, quick: int) -> int:
        """How many items a case uses."""
        return quick if self.quick else full


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured figure and what it should be."""

    case: str
    what: str
    unit: str
    #: One value per pair.
    values: Sequence[float]
    #: The goal, None for what is measured for the record.
    at_most: float | None = None
    at_least: float | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def reached(self) -> bool | None:
        """Whether the median keeps the goal; None without one."""
        if self.at_most is not None:
            return self.median <= self.at_most
        if self.at_least is not None:
            return self.median >= self.at_least
        return None

    def interval(self, *, confidence: float = 0.95, draws: int = 4000) -> tuple[float, float]:
        """Bootstrap interval of the median: the medians of samples drawn anew from the values."""
        chance = random.Random(20261123)
        medians = sorted(
            statistics.median(chance.choices(self.values, k=len(self.values))) for _ in range(draws)
        )
        outside = int(draws * (1 - confidence) / 2)
        return medians[outside], medians[-1 - outside]


def interleaved(ours: Callable[[], Ours], bare: Callable[[], Bare], *, pairs: int) -> list[tuple[Ours, Bare]]:
    """Run both `pairs` times, turn and turn about, after one run of each that does not count."""
    results = []
    for number in range(-1, pairs):
        gc.collect()
        if number % 2:
            first, second = ours(), bare()
        else:
            second, first = bare(), ours()
        if number >= 0:
            results.append((first, second))
    return results
