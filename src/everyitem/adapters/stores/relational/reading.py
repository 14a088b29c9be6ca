"""Reads the rows of one execution, in short transactions of a few rows each."""

from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from everyitem.adapters.stores.chain import ChainWalk
from everyitem.adapters.stores.input_chunks import StoredChunk, correction_digest, open_chunk
from everyitem.adapters.stores.relational.database import Connection, Database
from everyitem.adapters.stores.relational.records import Identity
from everyitem.adapters.stores.rounds import StoredRound
from everyitem.adapters.stores.rounds import is_sound as is_sound_round
from everyitem.adapters.stores.segments import StoredSegment, damage_of, open_draft
from everyitem.adapters.stores.stored_input import open_items
from everyitem.model.errors import StoreDamaged
from everyitem.model.items import ItemChunk, Items
from everyitem.ports.checkpoint import PendingRetry, SegmentDraft
from everyitem.ports.deferral import Deferral
from everyitem.ports.doubt import Intent
from everyitem.ports.store import StoreFault

T = TypeVar("T")

#: Rows fetched at a time: with and without bodies.
_WITH_BODIES, _WITHOUT = 32, 1024

_SEGMENTS = (
    "SELECT sequence, round, created_at, succeeded, failed, succeeded_ranges, failed_items, touched_items, "
    "digest, previous{} FROM segments WHERE execution_key = ? AND {}"
)


class ExecutionReader:
    """Rows of one execution as the values they were stored from."""

    def __init__(self, connection: Connection, identity: Identity) -> None:
        self._connection = connection
        self.identity = identity
        self._key = identity.execution_key

    def segments(self, *, bodies: bool) -> Iterator[StoredSegment]:
        """All segments in order; without bodies these are empty."""
        if bodies:
            return (StoredSegment(*row) for row in self._pages(", body", _WITH_BODIES))
        return (StoredSegment(*columns) for columns in self._pages("", _WITHOUT))

    def sizes(self) -> Iterator[tuple[StoredSegment, int]]:
        """All segments without bodies, and the lengths of these."""
        return ((StoredSegment(*columns), size) for *columns, size in self._pages(", length(body)", _WITHOUT))

    def draft(self, sequence: int) -> SegmentDraft:
        """What one segment holds, proved. Raises `StoreDamaged`."""
        rows = self._all(_SEGMENTS.format(", body", "sequence = ?"), sequence)
        if not rows:
            raise StoreDamaged(damage_of(sequence, "is missing"))
        return open_draft(StoredSegment(*rows[0]), self.identity.chain)

    def discarded(self) -> set[int]:
        """Sequence numbers of damaged segments somebody decided to do without."""
        rows = self._all("SELECT sequence FROM discarded_segments WHERE execution_key = ?")
        return {sequence for (sequence,) in rows}

    def proved_segments(self) -> tuple[list[StoredSegment], list[StoreFault]]:
        """The sound segments, proved and without bodies; and what is wrong with the chain."""
        walk = self.walk()
        sound = [replace(segment, body=b"") for segment in walk.sound(self.segments(bodies=True))]
        return sound, walk.faults

    def walk(self) -> ChainWalk:
        """A walk along this execution's chain."""
        return ChainWalk(
            self.identity.chain,
            last_sequence=self.identity.last_sequence,
            last_digest=self.identity.last_digest,
            discarded=self.discarded(),
        )

    def rounds(self) -> list[StoredRound]:
        """Rounds after the first. Raises `StoreDamaged` when one is not what was stored."""
        rounds = [
            StoredRound(*row)
            for row in self._all(
                "SELECT round, opened_at, item_ranges, digest FROM rounds "
                "WHERE execution_key = ? ORDER BY round"
            )
        ]
        for stored in rounds:
            if not is_sound_round(stored, self.identity.chain):
                raise StoreDamaged(
                    f"round {stored.round} does not match its digest; restore the store from a copy"
                )
        if [stored.round for stored in rounds] != list(range(2, self.identity.round + 1)):
            raise StoreDamaged("the record of a redrive's round is missing; restore the store from a copy")
        return rounds

    def retries(self) -> list[PendingRetry]:
        """Items that wait for their next attempt, in item order."""
        return [
            _checked(PendingRetry, (index, attempts, due, bool(alone)))
            for index, attempts, due, alone in self._all(
                "SELECT item_index, attempts, due, alone FROM pending_retries "
                "WHERE execution_key = ? ORDER BY item_index"
            )
        ]

    def intents(self) -> list[Intent]:
        """At-most-once items that may have been called, in item order."""
        return [
            _checked(Intent, row)
            for row in self._all(
                "SELECT item_index, attempt, doubt FROM intents WHERE execution_key = ? ORDER BY item_index"
            )
        ]

    def deferrals(self) -> list[Deferral]:
        """Items that await an event, in item order."""
        return [
            _checked(Deferral, row)
            for row in self._all(
                "SELECT item_index, attempt, due, duration_us, item_id FROM deferrals "
                "WHERE execution_key = ? ORDER BY item_index"
            )
        ]

    def chunk_layout(self) -> list[tuple[int, int, int]]:
        """(first index, item count, length of the text) of every input chunk, in order."""
        rows = self._all(
            "SELECT first_index, item_count, text_length FROM input_chunks "
            "WHERE execution_key = ? ORDER BY chunk"
        )
        return [_checked(tuple[int, int, int], row) for row in rows]

    def chunk(self, number: int) -> ItemChunk:
        """One input chunk as accepted, proved. Raises `StoreDamaged`."""
        rows = self._all(
            "SELECT chunk, first_index, item_count, text_length, digest, body FROM input_chunks "
            "WHERE execution_key = ? AND chunk = ?",
            number,
        )
        if not rows:
            raise StoreDamaged(f"input chunk {number} is missing; restore the store from a copy")
        return open_chunk(StoredChunk(*rows[0]), self.identity.chain)

    def items(self, round_: int | None = None) -> Items:
        """The items with what was corrected up to a round (None: the latest)."""
        return open_items(
            count=self.identity.item_count,
            named=self.identity.named,
            digest=self.identity.items_digest,
            layout=self.chunk_layout(),
            load=self.chunk,
            corrections=self.corrections(round_),
        )

    def corrections(self, latest: int | None = None) -> dict[int, bytes]:
        """The items corrected up to a round, proved. Raises `StoreDamaged`."""
        corrections = {}
        for index, round_, digest, item in self._all(
            "SELECT item_index, round, digest, item FROM corrections WHERE execution_key = ? ORDER BY round"
        ):
            if correction_digest(self.identity.chain, round_, index, item) != digest:
                raise StoreDamaged(
                    f"the corrected item {index} of round {round_} does not match its digest; "
                    "restore the store from a copy"
                )
            if latest is None or round_ <= latest:
                corrections[index] = item
        return corrections

    def _pages(self, more: str, page: int) -> Iterator[tuple[Any, ...]]:
        query = _SEGMENTS.format(more, "sequence > ? ORDER BY sequence LIMIT ?")
        after = 0
        while rows := self._all(query, after, page):
            yield from rows
            after = rows[-1][0]

    def _all(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self._connection.reading() as database:
            return database.execute(query, (self._key, *values)).fetchall()


def _checked(kind: type[T], row: tuple[Any, ...]) -> T:
    """The row as a value of its kind. Raises `StoreDamaged` when a column has another type."""
    try:
        return msgspec.convert(row, kind)
    except msgspec.ValidationError as error:
        raise StoreDamaged(
            f"a row holds what nobody wrote ({error}); restore the store from a copy"
        ) from error


def failed_indices(database: Database, execution_key: int) -> set[int]:
    """Items that count as failed now."""
    rows = database.execute("SELECT item_index FROM failed_items WHERE execution_key = ?", (execution_key,))
    return {index for (index,) in rows.fetchall()}
