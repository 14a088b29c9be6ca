"""How throughput grows with parallelism, from a few measured points.

Pure. The Universal Scalability Law (N. J. Gunther, *Guerrilla Capacity Planning*, 2007, chapter 4):
`X(p) = X(1) · p / (1 + a(p - 1) + bp(p - 1))`, where a is the share of the work that only one can do at a
time (Amdahl's law alone, for b = 0) and b what each pair of workers costs the other.
"""

from collections.abc import Sequence
from typing import Self

import msgspec


class Scalability(msgspec.Struct, frozen=True, kw_only=True):
    """A curve of throughput over parallelism."""

    #: Items per second of one worker.
    single: float
    #: a: the share only one can do at a time, 0 to 1.
    contention: float = 0.0
    #: b: what agreeing costs each pair of workers, from 0 on.
    coherence: float = 0.0

    def throughput(self, parallelism: int) -> float:
        """Items per second with so many workers."""
        p = parallelism
        loss = self.contention * (p - 1) + self.coherence * p * (p - 1)
        return self.single * p / (1.0 + loss)

    @classmethod
    def fit(cls, points: Sequence[tuple[int, float]]) -> Self:
        """The curve through the point with the least parallelism, and as near as can be to the others.

        `points` are (parallelism, items per second), one at least, each rate above 0. Where one is not at
        parallelism 1 the workers below it are taken to do without one another. Two points say nothing of b.
        """
        (least, rate), *others = sorted(points)
        single = rate / least
        # single · p / X - 1 = a(p - 1) + bp(p - 1): least squares, with neither below 0
        rows = [(p - 1, p * (p - 1), single * p / x - 1.0) for p, x in others if p > 1]
        contention, coherence = _solve(rows) if len(rows) > 1 else (_one(rows, 0), 0.0)
        if coherence < 0.0:
            contention, coherence = _one(rows, 0), 0.0
        if contention < 0.0:
            contention, coherence = 0.0, _one(rows, 1) if len(rows) > 1 else 0.0
        return cls(single=single, contention=min(1.0, contention), coherence=coherence)


def _one(rows: Sequence[tuple[float, float, float]], column: int) -> float:
    """The least-squares factor of one column alone, 0 at least."""
    square = sum(row[column] ** 2 for row in rows)
    return max(0.0, sum(row[column] * row[2] for row in rows) / square) if square else 0.0


def _solve(rows: Sequence[tuple[float, float, float]]) -> tuple[float, float]:
    """Least squares in two factors, by their normal equations."""
    aa, bb = sum(a * a for a, _, _ in rows), sum(b * b for _, b, _ in rows)
    ab = sum(a * b for a, b, _ in rows)
    ay, by = sum(a * y for a, _, y in rows), sum(b * y for _, b, y in rows)
    determinant = aa * bb - ab * ab
    if determinant <= 1e-12 * aa * bb:
        return _one(rows, 0), 0.0
    return (ay * bb - by * ab) / determinant, (by * aa - ay * ab) / determinant
