"""The ring of finished outcomes: what a worker process has done survives its death.

The worker puts each outcome into its shared mapping the moment it has it; the coordinator takes what is
there at the end of a slice, now and then while one runs, and after a death. The texts of results lie one
behind the other with commas between them, so that a run of successes is taken as one slice of memory:

    durations  | 812 | 790 | FAILED + 15 | 801 |          microseconds and flags, one word per outcome
    ends       |  11 |  22 |          67 |  78 |          where the text of the outcome ends
    text       {"ok":true},{"ok":true},<Failure>{"ok":true},

A ring is filled from the start; when it is full the worker asks for draining and begins at the start
again. FINISHED is written last, so the coordinator never sees half an outcome.
"""

from collections.abc import Callable, Sequence
from collections.abc import Mapping as ReadOnlyDict
from typing import Final

import msgspec

from everyitem.model.outcome import Failure, OutcomeBlock, Successes
from everyitem.work.mapping import FINISHED, LEASE, Mapping
from everyitem.work.outcomes import ranges_of
from everyitem.work.window import STARTED

# Flags beside the duration. FAILED: the text is a MessagePack `Failure`. ELSEWHERE: the outcome was too
# large for the ring and went over the socket.
FAILED: Final = 1 << 63
ELSEWHERE: Final = 1 << 62
_DURATION: Final = ELSEWHERE - 1

_COMMA: Final = ord(",")

_encode = msgspec.msgpack.Encoder().encode
_decode_failure = msgspec.msgpack.Decoder(Failure).decode


class RingWriter:
    """The worker's side.

    `drain()` is called when the ring is full and returns once the coordinator has emptied it;
    `ship(position, text)` hands over the text, as it would stand in the ring, of an outcome too large for it.
    """

    def __init__(
        self, mapping: Mapping, *, drain: Callable[[], None], ship: Callable[[int, bytes], None]
    ) -> None:
        self._words, self._durations, self._ends = mapping.words, mapping.durations, mapping.ends
        self._text, self._size = mapping.text, len(mapping.text)
        self._capacity = mapping.capacity
        self._drain, self._ship = drain, ship
        # positions recorded before the ring was last emptied, entries since then, and where their text ends
        self._base = self._entry = self._offset = 0

    def begin(self, lease_id: int) -> None:
        """Start over for a lease. The coordinator has taken everything of the one before."""
        words = self._words
        words[STARTED], words[FINISHED] = -1, 0
        words[LEASE] = lease_id  # last: from now on the other words are about this lease
        self._base = self._entry = self._offset = 0

    def succeeded(self, text: bytes, duration_us: int) -> None:
        """Record the next position's result, given as JSON text."""
        self._put(text + b",", duration_us)

    def failed(self, failure: Failure) -> None:
        """Record the next position's failed attempt."""
        self._put(_encode(failure), failure.duration_us | FAILED)

    def _put(self, text: bytes, duration: int) -> None:
        # once per item: every attribute looked up and every word written counts
        entry, start = self._entry, self._offset
        end = start + len(text)
        if end > self._size or entry == self._capacity:
            self._put_crowded(text, duration)
            return
        self._text[start:end] = text
        self._ends[entry] = self._offset = end
        self._durations[entry] = duration
        self._entry = entry = entry + 1
        self._words[FINISHED] = self._base + entry  # last: now the outcome is there

    def _put_crowded(self, text: bytes, duration: int) -> None:
        """Record an outcome for which there is no room: make room, or send the text separately."""
        if self._entry:
            self._drain()
            self._base += self._entry
            self._entry = self._offset = 0
        if len(text) <= self._size:
            self._put(text, duration)
        else:
            self._ship(self._base, text)
            self._put(b"", duration | ELSEWHERE)


class RingReader:
    """The coordinator's side: takes what a worker has finished of its lease."""

    def __init__(self, mapping: Mapping) -> None:
        self._words, self._durations, self._ends = mapping.words, mapping.durations, mapping.ends
        self._text = mapping.text
        self._lease_id = 0
        self._indices: Sequence[int] = ()
        self._attempt = 1
        #: Positions taken so far, and how many of them were taken before the ring was last emptied.
        self.taken = self._base = 0

    def begin(self, lease_id: int, indices: Sequence[int], attempt: int) -> None:
        """Expect the outcomes of this lease from now on."""
        self._lease_id, self._indices, self._attempt = lease_id, indices, attempt
        self.taken = self._base = 0

    @property
    def finished(self) -> int:
        """How many positions of the lease have their outcome in the ring or had it there."""
        return self._words[FINISHED] if self._words[LEASE] == self._lease_id else 0

    def take(self, elsewhere: ReadOnlyDict[int, bytes]) -> OutcomeBlock:
        """Everything finished since the last call.

        `elsewhere` holds the texts that came over the socket, by position. Should one be under way still,
        taking stops before it and goes on with the next call.
        """
        finished = self.finished
        first, last = self.taken - self._base, finished - self._base
        if first == last:
            return OutcomeBlock()
        durations = self._durations[first:last].tolist()
        if max(durations) < ELSEWHERE:
            start = self._ends[first - 1] if first else 0
            results = b"[" + bytes(self._text[start : self._ends[last - 1] - 1]) + b"]"
            ranges = ranges_of(self._indices[self.taken : finished])
            self.taken = finished
            return OutcomeBlock([Successes(ranges, self._attempt, durations, results)])
        return self._take_mixed(first, durations, elsewhere)

    def _take_mixed(
        self, first: int, durations: list[int], elsewhere: ReadOnlyDict[int, bytes]
    ) -> OutcomeBlock:
        """The careful way, outcome by outcome, where some failed or came over the socket."""
        failures: list[Failure] = []
        indices: list[int] = []
        texts: list[bytes] = []
        times: list[int] = []
        start = self._ends[first - 1] if first else 0
        for entry, word in enumerate(durations, first):
            end = self._ends[entry]
            if word & ELSEWHERE:
                if self.taken not in elsewhere:
                    break
                text = elsewhere[self.taken]
            else:
                text = bytes(self._text[start:end])
            if word & FAILED:
                failures.append(_decode_failure(text))
            else:
                indices.append(self._indices[self.taken])
                texts.append(text[:-1])
                times.append(word & _DURATION)
            start = end
            self.taken += 1
        results = b"[" + b",".join(texts) + b"]"
        successes = [Successes(ranges_of(indices), self._attempt, times, results)] if indices else []
        return OutcomeBlock(successes, failures)

    def emptied(self) -> None:
        """Everything was taken and the worker is about to be told to begin at the start of the ring."""
        self._base = self.taken
