"""Cutting outcomes into segments: exactly every `interval` outcomes, or when time is up."""

from collections.abc import Collection

from everyitem.model.outcome import Excuse, Failure, Successes
from everyitem.ports.checkpoint import SegmentDraft
from everyitem.ports.doubt import Settlement

#: About what a frame of a traceback takes: a path, a name and a line.
_FRAME_BYTES = 100


class SegmentCutter:
    """Collects outcomes and failed attempts in the order they arrive."""

    def __init__(self, interval: int | None) -> None:
        """`interval` outcomes per segment; None: never by count (checkpointing is off)."""
        self._interval = interval
        self._draft = SegmentDraft([], [])
        #: Outcomes in the segment being filled.
        self.outcomes = 0
        #: About how many bytes wait here, in full segments and the one being filled: their texts.
        self.bytes = 0
        #: How many of them in the one being filled.
        self._begun_bytes = 0
        self._full: list[SegmentDraft] = []

    @property
    def is_empty(self) -> bool:
        """Nothing at all waits to be saved."""
        return not (self._full or self._has_begun)

    @property
    def _has_begun(self) -> bool:
        """The segment being filled must not be forgotten."""
        draft = self._draft
        return bool(self.outcomes or draft.failures or draft.settlements or draft.excuses)

    @property
    def has_full(self) -> bool:
        """At least one segment is complete."""
        return bool(self._full)

    def add_successes(self, run: Successes) -> None:
        """Add outcomes, splitting the run where a segment is full."""
        if self._interval is None or self.outcomes + len(run) <= self._interval:
            self._append(run)
            return
        for piece in run.pieces(self._interval - self.outcomes, self._interval):
            self._append(piece)

    def add_failure(self, failure: Failure) -> None:
        """Add a failed attempt; it counts as an outcome when it is final."""
        texts = len(failure.message) + sum(map(len, failure.causes))
        self._grow(texts + _FRAME_BYTES * len(failure.frames))
        self._draft.failures.append(failure)
        if failure.final:
            self.outcomes += 1
            if self.outcomes == self._interval:
                self._close()

    def add_logs(self, logs: list[tuple[int, int, str, str]]) -> None:
        """Keep log records of items with the outcomes they came with."""
        self._grow(sum(len(text) for _, _, _, text in logs))
        self._draft.logs.extend(logs)

    def excuse(self, excuses: Collection[Excuse]) -> int:
        """Mark the latest failures of these attempts; those that have left are told of here instead.

        Returns how many have.
        """
        left = set(excuses)
        for draft in (self._draft, *reversed(self._full)):
            for failure in reversed(draft.failures):
                key = Excuse(failure.index, failure.attempt)
                if key in left:
                    failure.excused = True
                    left.remove(key)
        self._draft.excuses.extend(sorted(left, key=lambda one: one.index))
        return len(left)

    def add_settlement(self, settlement: Settlement) -> None:
        """Keep a person's decision with the outcome it may have led to."""
        self._draft.settlements.append(settlement)

    def _append(self, run: Successes) -> None:
        self._grow(len(run.results))
        self._draft.successes.append(run)
        self.outcomes += len(run)
        if self.outcomes == self._interval:
            self._close()

    def _grow(self, size: int) -> None:
        self.bytes += size
        self._begun_bytes += size

    def _close(self) -> None:
        self._full.append(self._draft)
        self._draft = SegmentDraft([], [])
        self.outcomes = self._begun_bytes = 0

    def take_full(self) -> list[SegmentDraft]:
        """The complete segments."""
        full, self._full = self._full, []
        self.bytes = self._begun_bytes
        return full

    def take_all(self) -> list[SegmentDraft]:
        """The complete segments and whatever else has come."""
        if self._has_begun:
            self._close()
        return self.take_full()
