"""What came of items: the only values that travel from the user's function to the disk.

A worker encodes its results once; from then on they are bytes that nobody decodes before a person asks
for them. `OutcomeBlock` is what one worker hands over at a time: a few milliseconds' worth of outcomes.
The structs are encoded as MessagePack arrays in segments and between processes, so fields are only ever
appended, with defaults.
"""

from itertools import pairwise
from typing import Any, Final

import msgspec

from everyitem.model.errors import ErrorCode

#: (file, line, function) of the user's code, outermost first; ours are left out.
Frame = tuple[str, int, str]

#: Families of failures (`Failure.family`): nobody is there, or nobody who can answer; and what databases say
#: of their operation.
UNREACHABLE: Final = "unreachable"
DATABASE: Final = "database"

_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Failure(msgspec.Struct, array_like=True, gc=False):
    """One failed attempt of one item."""

    index: int
    #: 1-based number of the attempt within the round.
    attempt: int
    code: ErrorCode
    #: Class name of the exception, or WorkerDied, ItemTimeout, UnusableResult.
    type: str
    message: str
    duration_us: int = 0
    frames: list[Frame] = []
    #: True when it must not be tried again whatever the retry budget says (PermanentItemError).
    permanent: bool = False
    #: Set by RetryLater: seconds to wait; such an attempt uses up no retry.
    retry_after: float | None = None
    #: The item killed its worker process, so it runs alone from now on.
    alone: bool = False
    #: Set by the state machine, which alone decides it: this failure is the item's final outcome.
    final: bool = False
    #: The class of the exception says that the item or the code is at fault, and nothing outside.
    innate: bool = False
    #: Set by Deferred: seconds within which the outcome must have come as an event. Nothing has failed yet.
    deferred: float | None = None
    #: Set by the state machine: it failed by an outage and is repeated under its number (circuit breaker).
    excused: bool = False
    #: What one outage shows as in many classes is one family; empty for what is alike to its class only.
    family: str = ""
    #: Members of the exception's group, then what led to it, nearest first: type, message and place of each.
    causes: list[str] = []

    @property
    def used_up(self) -> bool:
        """Whether the attempt counts: the one rule for budgets, for `retried`, and for what people are shown.

        An attempt that does not count is repeated under the same number, so an item's `attempts` are the
        number of the attempt that decided it.
        """
        return self.retry_after is None and not self.excused


class Excuse(msgspec.Struct, frozen=True, array_like=True):
    """A failed attempt that is excused after it was handed to the disk: an outage was noticed by it."""

    index: int
    attempt: int


class Successes(msgspec.Struct, array_like=True, gc=False):
    """Items that succeeded at the same attempt number.

    `ranges` are (first index, count), in the order of `durations_us` and of the values in `results`,
    which is the text of one JSON array holding one result per item.
    """

    ranges: list[tuple[int, int]]
    attempt: int
    durations_us: list[int]
    results: bytes

    def __len__(self) -> int:
        return len(self.durations_us)

    def result_texts(self) -> list[bytes]:
        """The results one by one, as JSON text, in the order of `ranges`."""
        return [bytes(raw) for raw in _decode_list(self.results)]

    def indices(self) -> list[int]:
        """All item indices, in the order of `durations_us`."""
        return [index for first, count in self.ranges for index in range(first, first + count)]

    def pieces(self, first: int, size: int) -> list["Successes"]:
        """Cut behind the first `first` items and then every `size` items, for segments of exact size."""
        texts = _decode_list(self.results)
        bounds = [0, *range(first, len(self), size), len(self)]
        return [
            Successes(
                _part_of(self.ranges, start, stop),
                self.attempt,
                self.durations_us[start:stop],
                join_texts(texts[start:stop]),
            )
            for start, stop in pairwise(bounds)
        ]

    def keep(self, wanted: set[int]) -> "Successes":
        """Only the items whose index is in `wanted`; used on the rare path where a part comes too late."""
        kept = [
            (index, duration, text)
            for index, duration, text in zip(
                self.indices(), self.durations_us, _decode_list(self.results), strict=True
            )
            if index in wanted
        ]
        return Successes(
            [(index, 1) for index, _, _ in kept],
            self.attempt,
            [duration for _, duration, _ in kept],
            join_texts([text for _, _, text in kept]),
        )


class OutcomeBlock(msgspec.Struct, array_like=True, gc=False):
    """Outcomes one worker hands over together."""

    successes: list[Successes] = []
    failures: list[Failure] = []
    #: Log records of items: (index, attempt, level name, text), kept for `explain`.
    logs: list[tuple[int, int, str, str]] = []

    def __len__(self) -> int:
        return sum(map(len, self.successes)) + len(self.failures)


def _part_of(ranges: list[tuple[int, int]], start: int, stop: int) -> list[tuple[int, int]]:
    """The positions `start` to `stop` of what the ranges hold, as ranges."""
    part = []
    position = 0
    for first, count in ranges:
        left, right = max(start, position), min(stop, position + count)
        if left < right:
            part.append((first + left - position, right - left))
        position += count
    return part


def join_texts(texts: list[Any]) -> bytes:
    """The text of a JSON array of the given JSON texts (bytes or `msgspec.Raw`)."""
    return b"[" + b",".join(texts) + b"]"
