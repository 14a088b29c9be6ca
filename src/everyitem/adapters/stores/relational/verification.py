"""Everything stored of one execution, checked against its digests and against each other."""

import hashlib
from collections.abc import Callable, Iterator

from msgspec.structs import replace

from everyitem.adapters.stores.recount import recount
from everyitem.adapters.stores.relational.database import Database
from everyitem.adapters.stores.relational.reading import ExecutionReader, failed_indices
from everyitem.adapters.stores.relational.records import stored_chain
from everyitem.adapters.stores.rounds import FAILED, OPEN, StoredRound, doubles, is_open, replay
from everyitem.adapters.stores.segments import StoredSegment, open_draft, told_by
from everyitem.model.errors import StoreError
from everyitem.model.items import Items
from everyitem.model.totals import Amount, ControlTotal, derive
from everyitem.ports.checkpoint import SegmentDraft
from everyitem.ports.store import StoreFault

#: The events of which each response has exactly one.
_TERMINAL = ("BatchExecuted", "ExecutionFailed")

#: Item indices named in one message.
_NAMED = 5


class Verification:
    """One check of one execution; the reader's connection must hold a snapshot."""

    def __init__(self, database: Database, reader: ExecutionReader) -> None:
        self._database = database
        self._reader = reader
        self._identity = reader.identity
        self._faults: list[StoreFault] = []
        #: The items as of the round whose segments are being looked at.
        self._items: dict[int, Items] = {}

    def run(self) -> list[StoreFault]:
        """All faults found; empty when sound."""
        self._attempt("execution", self._check_execution)
        self._attempt("input", self._check_input)
        self._attempt("checkpoints", self._check_segments)
        self._attempt("events", self._check_events)
        return self._faults

    def _attempt(self, record: str, check: Callable[[], None]) -> None:
        """A check that cannot even read its records is a fault of these, and does not stop the others."""
        try:
            check()
        except StoreError as error:
            self._fault(record, str(error))

    def _check_execution(self) -> None:
        if stored_chain(self._database, self._identity.execution_key) != self._identity.chain:
            self._fault("execution", "the execution's own record is not what was accepted")

    def _check_input(self) -> None:
        text = hashlib.sha256(b"[")
        expected = 0
        for number, (first, count, _) in enumerate(self._reader.chunk_layout()):
            if first != expected:
                self._fault("input", f"input chunk {number} begins at item {first} instead of {expected}")
            text.update((b"," if number else b"") + self._reader.chunk(number).text[1:-1])
            expected = first + count
        text.update(b"]")
        if expected != self._identity.item_count:
            self._fault("input", f"the input ends at item {expected} of {self._identity.item_count}")
        elif text.hexdigest() != self._identity.items_digest:
            self._fault("input", "the stored items are not the accepted ones (their digest differs)")
        self._reader.corrections()

    def _check_segments(self) -> None:
        walk = self._reader.walk()
        sound: list[StoredSegment] = []

        def proved() -> Iterator[StoredSegment]:
            for segment in walk.sound(self._reader.segments(bodies=True)):
                sound.append(_without_body(segment))
                yield segment

        rounds = self._reader.rounds()
        counted, _ = recount(self._identity.item_count, rounds, proved(), self._decode)
        self._faults += walk.faults
        self._check_totals(counted.succeeded, counted.failed)
        self._check_items(rounds, sound)
        self._check_control_totals(rounds, sound)

    def _decode(self, segment: StoredSegment) -> SegmentDraft:
        draft = open_draft(segment, self._identity.chain)
        if told_by(draft, segment) != _without_body(segment):
            self._fault(segment.name, f"the columns of {segment.name} do not tell what its body holds")
        self._check_amounts(segment, draft)
        return draft

    def _check_amounts(self, segment: StoredSegment, draft: SegmentDraft) -> None:
        """What a segment says its outcomes add to the control totals, summed again from their items."""
        if not draft.totals:
            return
        if segment.round not in self._items:
            self._items = {segment.round: self._reader.items(segment.round)}
        for name, said in draft.totals.items():
            found = Amount(name).recorded(self._items[segment.round], draft.successes, draft.failures)
            if found != said:
                self._fault(
                    segment.name,
                    f"{segment.name} adds {said[0]} succeeded and {said[1]} failed to the control total "
                    f"{name}, its items {found[0]} and {found[1]}",
                )

    def _check_control_totals(self, rounds: list[StoredRound], segments: list[StoredSegment]) -> None:
        totals = self._identity.counters.totals
        ledger = replay(self._identity.item_count, rounds, segments) if totals else bytearray()
        items = self._reader.items() if totals else None
        for name, balance in totals.items():
            if items is not None and (
                fault := ControlTotal(balance, derive(name, items, ledger).balance).fault(name)
            ):
                self._fault("control totals", fault)

    def _check_totals(self, succeeded: int, failed: int) -> None:
        counters = self._identity.counters
        if (counters.succeeded, counters.failed) != (succeeded, failed):
            self._fault(
                "counters",
                f"the running totals say {counters.succeeded} succeeded and {counters.failed} failed, "
                f"the segments {succeeded} and {failed}",
            )

    def _check_items(self, rounds: list[StoredRound], segments: list[StoredSegment]) -> None:
        count = self._identity.item_count
        for segment, index in doubles(count, rounds, segments):
            self._fault(segment.name, f"item {index} is recorded again in {segment.name}")
        ledger = replay(count, rounds, segments)
        failed = {index for index in range(count) if ledger[index] == FAILED} if FAILED in ledger else set()
        rows = failed_indices(self._database, self._identity.execution_key)
        if failed != rows:
            self._fault(
                "failed items",
                f"failed items without a row: {_some(failed - rows)}; rows of items that did not fail: "
                f"{_some(rows - failed)}",
            )
        settled = {retry.index for retry in self._reader.retries() if not is_open(ledger, retry.index)}
        ended = {intent.index for intent in self._reader.intents() if not is_open(ledger, intent.index)}
        if ended:
            self._fault("intents", f"items with an outcome that are said to be in doubt: {_some(ended)}")
        told = {one.index for one in self._reader.deferrals() if not is_open(ledger, one.index)}
        if told:
            self._fault("deferrals", f"items with an outcome that await an event: {_some(told)}")
        if settled:
            self._fault("retries", f"items with an outcome that wait for a retry: {_some(settled)}")
        if self._identity.status.is_finished and OPEN in ledger:
            self._fault("status", f"{self._identity.status} although {ledger.count(OPEN)} items are open")

    def _check_events(self) -> None:
        key = self._identity.execution_key
        responses = self._count("SELECT count(*) FROM responses WHERE execution_key = ?", key)
        terminal = self._count(
            "SELECT count(*) FROM outbox WHERE execution_key = ? AND type IN (?, ?)", key, *_TERMINAL
        )
        if responses != terminal:
            self._fault("events", f"{terminal} terminal events for {responses} recorded responses")
        doubled = self._count(
            "SELECT count(*) - count(DISTINCT event_id) FROM outbox WHERE execution_key = ?", key
        )
        if doubled:
            self._fault("events", f"{doubled} events have the id of another one")

    def _count(self, query: str, *values: object) -> int:
        count: int = self._database.execute(query, values).fetchone()[0]
        return count

    def _fault(self, record: str, message: str) -> None:
        sequence = int(record.split()[1]) if record.startswith("segment ") else None
        self._faults.append(StoreFault(record=record, message=message, sequence=sequence))


def _without_body(segment: StoredSegment) -> StoredSegment:
    return replace(segment, body=b"")


def _some(indices: set[int]) -> str:
    if not indices:
        return "none"
    named = ", ".join(map(str, sorted(indices)[:_NAMED]))
    return named if len(indices) <= _NAMED else f"{named} and {len(indices) - _NAMED} more"
