"""Walking a chain of segments and telling what is wrong with it."""

from collections.abc import Iterable, Iterator

from everyitem.adapters.stores.segments import StoredSegment, damage_of, is_sound
from everyitem.ports.store import StoreFault


class ChainWalk:
    """Proves segments one after the other; `faults` is complete when the walk has ended.

    A damaged segment costs only its own items: the next one refers to the digest that stands in its
    column. Segments that are gone show as gaps in the numbers or as an end before the recorded one.
    """

    def __init__(self, chain: bytes, *, last_sequence: int, last_digest: bytes, discarded: set[int]) -> None:
        self._chain = chain
        self._last = last_sequence, last_digest
        self._discarded = discarded
        self.faults: list[StoreFault] = []

    def sound(self, segments: Iterable[StoredSegment]) -> Iterator[StoredSegment]:
        """The segments that are sound, in order; discarded ones are left out without a fault."""
        sequence, digest = 0, self._chain
        for segment in segments:
            self._missing(sequence + 1, segment.sequence)
            intact = is_sound(segment, self._chain)
            follows = segment.sequence == sequence + 1
            sequence, previous, digest = segment.sequence, digest, segment.digest
            if sequence in self._discarded:
                continue
            if not intact:
                self._fault(sequence, damage_of(sequence))
                continue
            if follows and segment.previous != previous and sequence - 1 not in self._untrusted():
                self._fault(sequence, damage_of(sequence, f"does not follow segment {sequence - 1}"))
            yield segment
        self._missing(sequence + 1, self._last[0] + 1)
        if (sequence, digest) != self._last and not self._untrusted() & {sequence, self._last[0]}:
            self._fault(self._last[0], f"the chain does not end with segment {self._last[0]} as recorded")

    def _untrusted(self) -> set[int]:
        """Segments whose digest column says nothing."""
        return self._discarded | {fault.sequence for fault in self.faults if fault.sequence is not None}

    def _missing(self, start: int, stop: int) -> None:
        for sequence in range(start, stop):
            if sequence not in self._discarded:
                self._fault(sequence, damage_of(sequence, "is missing"))

    def _fault(self, sequence: int, message: str) -> None:
        self.faults.append(StoreFault(record=f"segment {sequence}", message=message, sequence=sequence))
