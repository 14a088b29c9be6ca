"""Outcomes in item order, from segments that hold them in the order they came.

Two passes: the columns tell which segment holds each item's latest outcome (8 bytes an item, 16 once any
attempt failed); then items are walked in order with a few decoded segments at hand.
"""

from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterator
from itertools import repeat

import msgspec

from everyitem.adapters.stores.index_sets import each_index, unpack_indices, unpack_ranges
from everyitem.adapters.stores.rounds import StoredRound
from everyitem.adapters.stores.segments import StoredSegment
from everyitem.model.items import Items, item_id_of
from everyitem.model.outcome import Failure
from everyitem.ports.checkpoint import SegmentDraft
from everyitem.ports.outcome import Outcome

#: Items whose ids are looked up together.
_WINDOW = 1024
#: Bytes of results kept decoded; several partitions interleave in a segment, so each is needed again soon.
_KEPT_BYTES = 64 << 20
#: What a decoded result costs beside its text.
_RESULT_COST = 200

_raw_list = msgspec.json.Decoder(list[msgspec.Raw]).decode

#: (attempt, duration in microseconds, JSON text of the result) of a success
_Success = tuple[int, int, msgspec.Raw]


class _Spent:
    """Microseconds of the failed attempts of each item in its latest round."""

    def __init__(self, item_count: int) -> None:
        self._count = item_count
        #: Made when the first attempt fails; most batches never need it.
        self._spent_us = array("Q")

    def add(self, failure: Failure) -> None:
        if not self._spent_us:
            self._spent_us = array("Q", bytes(8 * self._count))
        self._spent_us[failure.index] += failure.duration_us

    def forget(self, index: int) -> None:
        if self._spent_us:
            self._spent_us[index] = 0

    def of(self, index: int) -> int:
        return self._spent_us[index] if self._spent_us else 0


class OutcomeReader:
    """The latest outcome of every recorded item of one execution."""

    def __init__(self, item_count: int, load: Callable[[int], SegmentDraft]) -> None:
        """`load` reads, proves and decodes the segment with a given sequence number."""
        self._load = load
        self._where = array("L", bytes(array("L").itemsize * item_count))
        self._spent = _Spent(item_count)
        #: The round of each segment that is not of the first one.
        self._rounds: dict[int, int] = {}
        self._kept: OrderedDict[int, tuple[dict[int, _Success | Failure], int]] = OrderedDict()
        self._kept_bytes = 0

    def follow(self, timeline: Iterator[StoredRound | StoredSegment]) -> None:
        """Take in rounds and segments (without bodies) in the order they happened."""
        for event in timeline:
            if isinstance(event, StoredRound):
                for index in each_index(unpack_ranges(event.item_ranges)):
                    self._where[index] = 0
                    self._spent.forget(index)
                continue
            if event.round > 1:
                self._rounds[event.sequence] = event.round
            for first, count in unpack_ranges(event.succeeded_ranges):
                self._where[first : first + count] = array("L", [event.sequence]) * count
            for index in unpack_indices(event.failed_items):
                self._where[index] = event.sequence
            if unpack_indices(event.touched_items):
                for failure in self._load(event.sequence).failures:
                    if not failure.final:
                        self._spent.add(failure)

    def read(self, items: Items) -> Iterator[Outcome]:
        """The outcomes in item order."""
        for start in range(0, len(self._where), _WINDOW):
            window = range(start, min(start + _WINDOW, len(self._where)))
            texts = _raw_list(items.text(window)) if items.named else None
            for index in window:
                if self._where[index]:
                    item_id = item_id_of(bytes(texts[index - start]), index) if texts else str(index)
                    yield self._outcome(index, item_id)

    def _outcome(self, index: int, item_id: str) -> Outcome:
        sequence = self._where[index]
        what, round_ = self._decoded(sequence)[index], self._rounds.get(sequence, 1)
        spent_us = self._spent.of(index)
        if isinstance(what, Failure):
            return Outcome(
                index=index,
                item_id=item_id,
                succeeded=False,
                attempts=what.attempt,
                duration_ms=(spent_us + what.duration_us) / 1000,
                code=what.code,
                type=what.type,
                message=what.message,
                round=round_,
            )
        attempt, duration_us, result = what
        return Outcome(
            index=index,
            item_id=item_id,
            succeeded=True,
            attempts=attempt,
            duration_ms=(spent_us + duration_us) / 1000,
            result=bytes(result),
            round=round_,
        )

    def _decoded(self, sequence: int) -> dict[int, _Success | Failure]:
        if sequence in self._kept:
            self._kept.move_to_end(sequence)
            return self._kept[sequence][0]
        draft = self._load(sequence)
        by_index: dict[int, _Success | Failure] = {
            failure.index: failure for failure in draft.failures if failure.final
        }
        size = 0
        for run in draft.successes:
            told = zip(repeat(run.attempt), run.durations_us, _raw_list(run.results), strict=False)
            by_index.update(zip(each_index(run.ranges), told, strict=True))
            size += len(run.results) + _RESULT_COST * len(run)
        self._kept[sequence] = by_index, size
        self._kept_bytes += size
        while self._kept_bytes > _KEPT_BYTES and len(self._kept) > 1:
            self._kept_bytes -= self._kept.popitem(last=False)[1][1]
        return by_index
