"""What every store does, whatever it is built on. A new store joins in the fixture `new_store`."""

from collections.abc import Callable, Iterator

import msgspec
import pytest
from tests.services.stores import edit

from everyitem.adapters.stores import open_store
from everyitem.model.errors import ErrorCode, IllegalMove, OwnershipLost, StoreDamaged, UsageError
from everyitem.model.items import InMemoryItems
from everyitem.model.outcome import Excuse, Failure, Successes
from everyitem.model.status import ExecutionStatus, may_move
from everyitem.ports.checkpoint import Commit, Counters, PendingRetry, SegmentDraft
from everyitem.ports.control import ControlKind
from everyitem.ports.doubt import Decision, Intent, Settlement
from everyitem.ports.execution import ExecutionRecord, NewExecution
from everyitem.ports.outbox import OutboxEvent
from everyitem.ports.outcome import FailedItem
from everyitem.ports.progress import Progress
from everyitem.ports.store import Ownership, Store, StoreFault


@pytest.fixture
def url(store_url: str) -> str:
    return store_url


@pytest.fixture
def damage(url: str) -> Callable[[str, int], None]:
    """Damages the segment with a given number in the store at a URL: one bit, as a bad disk does it."""

    def damage(url: str, sequence: int) -> None:
        ((body,),) = edit(url, "SELECT body FROM segments WHERE sequence = ?", sequence)
        bent = bytes([*body[:-1], body[-1] ^ 1])
        edit(url, "UPDATE segments SET body = ? WHERE sequence = ?", bent, sequence)

    return damage


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    opened = open_store(url)
    yield opened
    opened.close()


def accept(
    store: Store, *, items: int = 10, batch_id: str = "b", text: bytes | None = None, named: bool = False
) -> tuple[ExecutionRecord, Ownership]:
    """A stored batch of `items` numbers, or of the items in `text`."""
    content = InMemoryItems(text or msgspec.json.encode(list(range(items))), named=named)
    new = NewExecution(
        batch_id=batch_id,
        execution=1,
        content="content",
        items_digest=content.digest,
        item_count=len(content),
        named=named,
        processor="double",
        processor_code="code",
        envelope=b'{"batchId": "b", "note": 1.50}',
        settings=b'{"x": 1}',
    )
    created = store.create(new, content)
    assert created is not None
    return created


def successes(first: int, count: int, *, attempt: int = 1) -> SegmentDraft:
    """Items that return twice their index, taking 1 ms each."""
    results = msgspec.json.encode([2 * index for index in range(first, first + count)])
    return SegmentDraft([Successes([(first, count)], attempt, [1000] * count, results)], [])


def failure(index: int, *, attempt: int = 1, final: bool = True, wait: float | None = None) -> Failure:
    """A failed attempt that took 2 ms."""
    return Failure(
        index,
        attempt,
        ErrorCode.ITEM_ERROR,
        "ValueError",
        f"bad {index}",
        2000,
        [("p.py", 3, "f")],
        retry_after=wait,
        final=final,
    )


def failed_row(index: int, *, attempts: int = 1) -> FailedItem:
    """The row that goes with a final failure."""
    return FailedItem(
        index, str(index), attempts, "ITEM_ERROR", "ValueError", f"bad {index}", 2.0, None, [("p.py", 3, "f")]
    )


def fail(ownership: Ownership, *indices: int) -> None:
    """Record final failures in one commit."""
    ownership.commit(
        Commit(
            segments=[SegmentDraft([], [failure(index) for index in indices])],
            failed=[failed_row(index) for index in indices],
        )
    )


def test_a_batch_nobody_stored_is_not_found(store: Store) -> None:
    """`find` of an unknown batch gives None, and nothing is listed."""
    assert store.find("b") is None
    assert store.executions() == []


def test_a_created_execution_comes_back_as_it_was_given(store: Store) -> None:
    """The record holds what was stored, byte for byte, and belongs to its creator."""
    record, _ = accept(store)
    found = store.find("b")
    assert found == record
    assert (record.execution, record.round, record.runs) == (1, 1, 1)
    assert (record.status, record.owned) == (ExecutionStatus.QUEUED, True)
    assert (record.envelope, record.settings) == (b'{"batchId": "b", "note": 1.50}', b'{"x": 1}')
    assert record.response is None


def test_an_execution_is_created_once(store: Store) -> None:
    """The second creation of the same execution gives None and changes nothing."""
    record, _ = accept(store)
    items = InMemoryItems(b"[7]", named=False)
    again = NewExecution(
        batch_id="b",
        execution=1,
        content="other",
        items_digest=items.digest,
        item_count=1,
        named=False,
        processor="p",
        processor_code="",
        envelope=b"{}",
    )
    assert store.create(again, items) is None
    assert store.find("b") == record


def test_executions_are_listed_newest_first(store: Store) -> None:
    """`executions` begins with what was stored last, and `find` takes the latest execution."""
    accept(store, batch_id="a")
    accept(store, batch_id="b")
    assert [record.batch_id for record in store.executions()] == ["b", "a"]


def test_items_keep_every_byte(store: Store) -> None:
    """Digits, order of keys and other alphabets come back as they were accepted."""
    text = '[{"b":1.500,"a":"é"},12345678901234567890,"x"]'.encode()
    record, _ = accept(store, text=text)
    items = store.items(record.execution_key)
    assert items.text(range(3)) == text
    assert items.digest == record.items_digest


def test_an_empty_batch_is_stored_and_sound(store: Store) -> None:
    """No items, no chunks; a segment without outcomes is still a checkpoint."""
    record, ownership = accept(store, items=0)
    assert ownership.commit(Commit(segments=[SegmentDraft([], [])], counters=Counters(checkpoints=1))) == 1
    assert len(store.items(record.execution_key)) == 0
    assert store.recorded(record.execution_key).ledger == bytearray()
    assert store.verify(record.execution_key) == []


def test_recorded_tells_every_outcome_and_nothing_else(store: Store) -> None:
    """After commits the ledger holds 1 for successes, 2 for final failures and 0 for open items."""
    record, ownership = accept(store)
    ownership.commit(Commit(segments=[successes(0, 3), successes(5, 2)]))
    fail(ownership, 3)
    ownership.commit(Commit(segments=[SegmentDraft([], [failure(4, final=False)])]))
    recorded = store.recorded(record.execution_key)
    assert list(recorded.ledger) == [1, 1, 1, 2, 0, 1, 1, 0, 0, 0]
    assert recorded.last_sequence == 4
    assert (recorded.counters.succeeded, recorded.counters.failed) == (5, 1)


def test_segments_form_a_chain(store: Store) -> None:
    """Sequence numbers are dense and each header names the digest of the one before it."""
    record, ownership = accept(store)
    assert ownership.commit(Commit(segments=[successes(0, 2), successes(2, 2)])) == 2
    assert ownership.commit(Commit(segments=[successes(4, 2)])) == 3
    headers = list(store.segments(record.execution_key))
    assert [header.sequence for header in headers] == [1, 2, 3]
    assert [header.succeeded for header in headers] == [2, 2, 2]
    assert [header.previous for header in headers[1:]] == [header.digest for header in headers[:-1]]
    found = store.find("b")
    assert found is not None
    assert found.last_checkpoint_at == headers[-1].created_at


def test_outcomes_come_in_item_order_with_the_attempts_of_their_round(store: Store) -> None:
    """They are the number of the attempt that decided; all attempts take time, RetryLater's as well."""
    record, ownership = accept(store, items=4)
    early = [failure(1, final=False), failure(1, attempt=2, final=False, wait=5.0)]
    ownership.commit(Commit(segments=[SegmentDraft(successes(2, 2).successes, early)]))
    ownership.commit(Commit(segments=[SegmentDraft(successes(1, 1, attempt=2).successes, [failure(0)])]))
    outcomes = list(store.outcomes(record.execution_key))
    assert [one.index for one in outcomes] == [0, 1, 2, 3]
    assert [one.attempts for one in outcomes] == [1, 2, 1, 1]
    assert [one.duration_ms for one in outcomes] == [2.0, 5.0, 1.0, 1.0]
    assert [one.result for one in outcomes] == [None, b"2", b"4", b"6"]
    assert (outcomes[0].succeeded, outcomes[0].code, outcomes[0].message) == (False, "ITEM_ERROR", "bad 0")


def test_what_an_outage_took_is_told_and_counts_as_no_attempt(store: Store) -> None:
    """Marked where it stands, or excused by a later segment; both are repeated under their number."""
    record, ownership = accept(store, items=4)
    ownership.commit(Commit(segments=[SegmentDraft([], [failure(1, final=False), failure(2, final=False)])]))
    ownership.commit(Commit(segments=[SegmentDraft([], [], excuses=[Excuse(1, 1), Excuse(3, 1)])]))
    again = failure(1, final=False)
    again.excused = True
    ownership.commit(
        Commit(
            segments=[SegmentDraft(successes(1, 1).successes, [again]), successes(2, 1, attempt=2)],
            counters=Counters(succeeded=2),
        )
    )
    history = store.history(record.execution_key, 1)
    assert [(one.attempt, one.failure and one.failure.excused) for one in history] == [
        (1, True),
        (1, True),
        (1, None),
    ]
    assert [one.checkpoint for one in history] == [1, 3, 3]
    assert [one.failure.excused for one in store.history(record.execution_key, 2) if one.failure] == [False]
    assert store.history(record.execution_key, 3) == []
    assert [(one.index, one.attempts, one.duration_ms) for one in store.outcomes(record.execution_key)] == [
        (1, 1, 5.0),
        (2, 2, 3.0),
    ]
    counters, _ = store.recount(record.execution_key)
    assert counters.retried == 1
    assert store.verify(record.execution_key) == []


def test_an_excuse_is_of_its_own_round(store: Store) -> None:
    """The same attempt of an earlier round stays what it was."""
    record, ownership = accept(store, items=2)
    ownership.commit(
        Commit(
            segments=[SegmentDraft([], [failure(1, final=False), failure(1, attempt=2)])],
            failed=[failed_row(1, attempts=2)],
        )
    )
    store.open_round(ownership, [1], {})
    ownership.commit(Commit(segments=[SegmentDraft([], [failure(1, final=False)])]))
    ownership.commit(Commit(segments=[SegmentDraft([], [], excuses=[Excuse(1, 1)])]))
    history = store.history(record.execution_key, 1)
    assert [(one.round, one.attempt, one.failure.excused) for one in history if one.failure] == [
        (1, 1, False),
        (1, 2, False),
        (2, 1, True),
    ]


def test_outcomes_carry_the_items_own_ids(store: Store) -> None:
    """An `itemId` names its item, the position the others."""
    record, ownership = accept(store, text=b'[{"itemId":"x"},{"a":1}]', named=True)
    ownership.commit(Commit(segments=[successes(0, 2)]))
    assert [one.item_id for one in store.outcomes(record.execution_key)] == ["x", "1"]


def test_the_latest_round_counts(store: Store) -> None:
    """Redriven items are open until their round records them; the other failures stay failures."""
    record, ownership = accept(store, items=5)
    ownership.commit(Commit(segments=[successes(0, 2)], status=ExecutionStatus.RUNNING))
    fail(ownership, 2, 3, 4)
    assert store.open_round(ownership, [2, 3], {3: b'{"fixed":true}'}) == 2
    assert list(store.recorded(record.execution_key).ledger) == [1, 1, 0, 0, 2]
    assert [one.index for one in store.outcomes(record.execution_key)] == [0, 1, 4]
    ownership.commit(Commit(segments=[successes(3, 1)]))
    fail(ownership, 2)
    assert list(store.recorded(record.execution_key).ledger) == [1, 1, 2, 1, 2]
    assert [one.index for one in store.failures(record.execution_key)] == [2, 4]
    assert store.items(record.execution_key).text(range(5)) == b'[0,1,2,{"fixed":true},4]'
    counted, durations = store.recount(record.execution_key)
    assert (counted.succeeded, counted.failed) == (3, 2)
    assert durations == sorted(durations)


def test_a_round_opens_over_failed_items_only(store: Store) -> None:
    """An item that has not failed cannot be redriven, and nothing changes."""
    record, ownership = accept(store)
    ownership.commit(Commit(segments=[successes(0, 1)]))
    with pytest.raises(UsageError, match="count as failed"):
        store.open_round(ownership, [0], {})
    found = store.find("b")
    assert found is not None
    assert found.round == 1
    ownership.commit(Commit(segments=[successes(1, 1)]))
    assert store.recorded(record.execution_key).ledger.count(1) == 2


def test_failures_show_the_item_when_asked(store: Store) -> None:
    """`with_items` adds the item's own text, corrected or not."""
    record, ownership = accept(store)
    fail(ownership, 7, 4)
    assert [(one.index, one.item) for one in store.failures(record.execution_key)] == [(4, None), (7, None)]
    listed = list(store.failures(record.execution_key, with_items=True))
    assert [one.item for one in listed] == [b"4", b"7"]
    assert listed[0].frames == [("p.py", 3, "f")]


def test_history_tells_every_attempt_of_all_rounds(store: Store) -> None:
    """Attempts come oldest first, with their checkpoint and their log records."""
    record, ownership = accept(store)
    lost = SegmentDraft([], [failure(3, final=False)], logs=[(3, 1, "INFO", "first try")])
    ownership.commit(Commit(segments=[lost]))
    ownership.commit(
        Commit(segments=[SegmentDraft([], [failure(3, attempt=2)])], failed=[failed_row(3, attempts=2)])
    )
    store.open_round(ownership, [3], {})
    ownership.commit(Commit(segments=[successes(3, 1)]))
    history = store.history(record.execution_key, 3)
    assert [(one.round, one.attempt, one.succeeded) for one in history] == [
        (1, 1, False),
        (1, 2, False),
        (2, 1, True),
    ]
    assert [one.checkpoint for one in history] == [1, 2, 3]
    assert [one.final for one in history] == [False, True, True]
    assert history[0].logs == [("INFO", "first try")]
    assert history[2].result == b"6"
    assert store.history(record.execution_key, 9) == []


def test_pending_retries_are_kept_until_cleared(store: Store) -> None:
    """A commit sets and clears retries; an item both cleared and set waits; settled items do not."""
    record, ownership = accept(store)
    ownership.commit(Commit(retries_set=[PendingRetry(1, 1, 10.0), PendingRetry(2, 1, 11.0, alone=True)]))
    ownership.commit(Commit(retries_cleared=[1, 2], retries_set=[PendingRetry(2, 2, 12.0, alone=True)]))
    assert store.recorded(record.execution_key).retries == [PendingRetry(2, 2, 12.0, alone=True)]
    ownership.commit(Commit(segments=[successes(2, 1)]))
    assert store.recorded(record.execution_key).retries == []


def test_events_are_read_in_order_from_a_position(store: Store) -> None:
    """The outbox keeps what was committed, in order, each with its position."""
    record, ownership = accept(store)
    events = [OutboxEvent(f"e{n}", "CheckpointCreated", "b", float(n), b'{"n":1}') for n in range(100)]
    ownership.commit(Commit(events=events))
    listed = store.events(record.execution_key)
    assert [event.event_id for event in listed] == [event.event_id for event in events]
    assert store.events(record.execution_key, after=listed[97].position) == listed[98:]


def test_requests_are_read_at_will_and_taken_once(store: Store) -> None:
    """`controls` leaves a request in the inbox, `renew` takes it out."""
    record, ownership = accept(store)
    store.request(record.execution_key, ControlKind.PAUSE, "me")
    store.request(record.execution_key, ControlKind.CANCEL, "me")
    assert [one.kind for one in ownership.controls()] == [ControlKind.PAUSE, ControlKind.CANCEL]
    assert [one.kind for one in ownership.renew(None)] == [ControlKind.PAUSE, ControlKind.CANCEL]
    assert ownership.controls() == []
    assert ownership.renew(None) == []


def test_progress_is_published_with_the_renewal(store: Store) -> None:
    """Other processes see what the owner told last."""
    _, ownership = accept(store)
    ownership.renew(Progress(at=1.0, succeeded=7))
    ownership.renew(None)
    found = store.find("b")
    assert found is not None
    assert found.progress == Progress(at=1.0, succeeded=7)


def test_nobody_claims_what_a_living_process_owns(store: Store, url: str) -> None:
    """`claim` gives None while the owner lives, also through another handle of the store."""
    record, _ = accept(store)
    assert store.claim(record.execution_key) is None
    other = open_store(url)
    assert other.claim(record.execution_key) is None
    other.close()


def test_a_claim_that_carries_nothing_out_counts_no_run(store: Store) -> None:
    """It raises the token like any other: who was replaced has lost the execution."""
    record, first = accept(store)
    first.release(ExecutionStatus.INTERRUPTED)
    second = store.claim(record.execution_key, is_run=False)
    assert second is not None
    assert second.token == first.token + 1
    found = store.find("b")
    assert found is not None
    assert found.runs == record.runs


def test_a_released_execution_can_be_claimed_with_the_next_token(store: Store) -> None:
    """Each take-over raises the token by one and counts a run; old requests are void."""
    record, first = accept(store)
    first.release(ExecutionStatus.INTERRUPTED)
    store.request(record.execution_key, ControlKind.CANCEL, "me")
    second = store.claim(record.execution_key)
    assert second is not None
    assert second.token == first.token + 1
    assert second.renew(None) == []
    found = store.find("b")
    assert found is not None
    assert (found.runs, found.status, found.owned) == (2, ExecutionStatus.INTERRUPTED, True)


def test_a_handle_that_was_given_back_writes_nothing(store: Store) -> None:
    """After `release` every method is refused, and releasing again is harmless."""
    record, ownership = accept(store)
    ownership.release()
    ownership.release()
    for write in (
        lambda: ownership.commit(Commit(segments=[successes(0, 1)])),
        lambda: ownership.renew(None),
    ):
        with pytest.raises(OwnershipLost):
            write()
    assert store.recorded(record.execution_key).last_sequence == 0


def test_a_resumed_execution_continues_the_chain(store: Store) -> None:
    """A new owner appends where the one before it ended."""
    record, first = accept(store)
    first.commit(Commit(segments=[successes(0, 4)]))
    first.release(ExecutionStatus.INTERRUPTED)
    second = store.claim(record.execution_key)
    assert second is not None
    assert second.commit(Commit(segments=[successes(4, 6)], counters=Counters(succeeded=10))) == 2
    assert store.recorded(record.execution_key).ledger == bytearray(b"\x01" * 10)
    assert store.verify(record.execution_key) == []


def test_a_response_shows_while_the_execution_is_at_rest(store: Store) -> None:
    """The response appears with the terminal status and steps back while the execution goes on."""
    record, ownership = accept(store, items=1)
    ownership.commit(Commit(status=ExecutionStatus.RUNNING))
    fail(ownership, 0)
    event = OutboxEvent("done", "BatchExecuted", "b", 1.0, b"{}")
    ownership.commit(
        Commit(
            counters=Counters(failed=1),
            status=ExecutionStatus.COMPLETED_WITH_ERRORS,
            response=b'{"status": "SUCCESS"}',
            events=[event],
        )
    )
    found = store.find("b")
    assert found is not None
    assert (found.response, found.finished_at is not None) == (b'{"status": "SUCCESS"}', True)
    assert store.verify(record.execution_key) == []
    store.open_round(ownership, [0], {})
    found = store.find("b")
    assert found is not None
    assert (found.response, found.finished_at, found.status) == (None, None, ExecutionStatus.RUNNING)


def test_running_without_an_owner_reads_as_interrupted(store: Store) -> None:
    """RUNNING is never a resting state: without a living owner it was interrupted."""
    _, ownership = accept(store)
    ownership.commit(Commit(status=ExecutionStatus.RUNNING))
    running = store.find("b")
    ownership.release()
    left = store.find("b")
    assert running is not None
    assert left is not None
    assert (running.status, running.owned) == (ExecutionStatus.RUNNING, True)
    assert (left.status, left.owned) == (ExecutionStatus.INTERRUPTED, False)


def test_executions_in_one_store_do_not_mix(store: Store) -> None:
    """Outcomes, events, retries and requests belong to one execution each."""
    one, owner_of_one = accept(store, batch_id="one")
    two, owner_of_two = accept(store, batch_id="two")
    owner_of_one.commit(
        Commit(
            segments=[successes(0, 5)],
            events=[OutboxEvent("e", "CheckpointCreated", "one", 1.0, b"{}")],
            retries_set=[PendingRetry(7, 1, 1.0)],
            counters=Counters(succeeded=5),
        )
    )
    store.request(one.execution_key, ControlKind.PAUSE, "me")
    fail(owner_of_two, 9)
    assert owner_of_two.controls() == []
    assert store.events(two.execution_key) == []
    assert store.recorded(two.execution_key).retries == []
    assert store.recorded(two.execution_key).ledger.count(1) == 0
    assert store.recorded(one.execution_key).ledger.count(2) == 0
    assert list(store.failures(one.execution_key)) == []
    assert store.verify(one.execution_key) == []


@pytest.mark.parametrize("start", ExecutionStatus)
@pytest.mark.parametrize("finish", ExecutionStatus)
def test_only_legal_moves_are_written(store: Store, start: ExecutionStatus, finish: ExecutionStatus) -> None:
    """Whoever asks: an illegal state is refused with all of its transaction, a legal one is written."""
    record, ownership = accept(store)
    ways = {ExecutionStatus.QUEUED: [], ExecutionStatus.RUNNING: [ExecutionStatus.RUNNING]}
    for step in ways.get(start, [ExecutionStatus.RUNNING, start]):
        ownership.commit(Commit(status=step))
    commit = Commit(segments=[successes(0, 1)], status=finish)
    if may_move(start, finish):
        assert ownership.commit(commit) == 1
        return
    with pytest.raises(IllegalMove, match=f"is {start} and cannot become {finish}"):
        ownership.commit(commit)
    assert store.recorded(record.execution_key).last_sequence == 0
    assert ownership.commit(Commit(segments=[successes(0, 1)])) == 1


def test_verify_finds_totals_that_do_not_add_up(store: Store) -> None:
    """Running totals, failed rows and terminal events are each compared with what they follow from."""
    record, ownership = accept(store)
    ownership.commit(Commit(status=ExecutionStatus.RUNNING))
    ownership.commit(
        Commit(
            segments=[SegmentDraft(successes(0, 3).successes, [failure(3)])],
            counters=Counters(succeeded=9),
            retries_set=[PendingRetry(0, 1, 1.0)],
            status=ExecutionStatus.COMPLETED,
            response=b"{}",
        )
    )
    faults = {fault.record for fault in store.verify(record.execution_key)}
    assert faults == {"counters", "failed items", "retries", "status", "events"}


def test_readers_can_go_past_damaged_segments(
    store: Store, url: str, damage: Callable[[str, int], None]
) -> None:
    """With `on_damage` what is readable is read and each damaged segment told; without it reading refuses."""
    record, ownership = accept(store)
    for first in (0, 4, 7):
        ownership.commit(Commit(segments=[successes(first, 3)]))
    damage(url, 2)
    key = record.execution_key
    told: list[StoreFault] = []
    assert [one.index for one in store.outcomes(key, on_damage=told.append)] == [0, 1, 2, 7, 8, 9]
    assert store.history(key, 5, on_damage=told.append) == []
    assert [fault.sequence for fault in told] == [2, 2]
    assert len(store.history(key, 8)) == 1
    with pytest.raises(StoreDamaged, match="segment 2"):
        list(store.outcomes(key))
    with pytest.raises(StoreDamaged, match="segment 2"):
        store.history(key, 5)


def test_verify_finds_an_outcome_recorded_twice(store: Store) -> None:
    """One recorded final outcome per item and round."""
    record, ownership = accept(store)
    ownership.commit(Commit(segments=[successes(0, 3), successes(2, 1)], counters=Counters(succeeded=3)))
    (fault,) = store.verify(record.execution_key)
    assert (fault.sequence, "item 2 is recorded again" in fault.message) == (2, True)


def test_values_nobody_wrote_are_damage(store: Store, url: str) -> None:
    """Counters that are no counters: reading says that the store is damaged, and where."""
    accept(store)
    edit(url, "UPDATE execution_states SET counters = ?", "no counters")
    with pytest.raises(StoreDamaged, match="nobody wrote"):
        store.find("b")


def test_a_reader_sees_what_a_writer_records(store: Store, url: str) -> None:
    """A read-only store follows a living execution, and writes nothing."""
    record, ownership = accept(store)
    reader = open_store(url, read_only=True)
    ownership.commit(Commit(segments=[successes(0, 10)], counters=Counters(succeeded=10)))
    assert len(list(reader.outcomes(record.execution_key))) == 10
    assert reader.verify(record.execution_key) == []
    reader.close()


def test_intents_go_with_the_outcomes_of_their_items(store: Store) -> None:
    """A resume finds the items that may have been called; those with an outcome are not among them."""
    record, ownership = accept(store)
    ownership.commit(Commit(intents_set=[Intent(index, 1) for index in range(4)]))
    ownership.commit(
        Commit(
            segments=[successes(0, 2)],
            intents_cleared=[0, 1],
            intents_set=[Intent(3, 1, "died")],
            counters=Counters(succeeded=2, checkpoints=1),
        )
    )
    assert store.intents(record.execution_key) == [Intent(2, 1), Intent(3, 1, "died")]
    assert store.recorded(record.execution_key).intents == [Intent(2, 1), Intent(3, 1, "died")]
    found = store.find("b")
    assert found is not None and found.in_doubt == 1
    ownership.release(ExecutionStatus.INTERRUPTED)
    found = store.find("b")
    assert found is not None and found.in_doubt == 2
    assert store.verify(record.execution_key) == []


def test_a_settlement_is_part_of_the_chain(store: Store) -> None:
    """The decision, its author and its reason stand in a segment, and `history` tells of them."""
    record, ownership = accept(store)
    said = Settlement(3, Decision.SUCCEEDED, "me@here", 1.5, "seen", b"7", 1, "died")
    again = Settlement(4, Decision.AGAIN, "me@here", 1.5, attempt=1)
    segment = SegmentDraft([Successes([(3, 1)], 1, [0], b"[7]")], [], settlements=[said, again])
    ownership.commit(Commit(segments=[segment], counters=Counters(succeeded=1, checkpoints=1)))
    (entry,) = store.history(record.execution_key, 3)
    assert entry.settlement == said and entry.result == b"7"
    (entry,) = store.history(record.execution_key, 4)
    assert entry.settlement == again and not entry.final
    assert store.verify(record.execution_key) == []


def test_a_settlement_reaches_the_owner(store: Store) -> None:
    """A request to settle is taken once, with everything it says."""
    record, ownership = accept(store)
    said = Settlement(3, Decision.FAILED, "me@here", 1.5, "no")
    store.request(record.execution_key, ControlKind.SETTLE, "me@here", said)
    (control,) = ownership.renew(None)
    assert (control.kind, control.settlement) == (ControlKind.SETTLE, said)
    assert ownership.controls() == []


def test_a_grant_reaches_the_owner(store: Store) -> None:
    """How many items may run at once, from whoever shares the machine out."""
    record, ownership = accept(store)
    store.request(record.execution_key, ControlKind.GRANT, "the service", slots=7)
    (control,) = ownership.renew(None)
    assert (control.kind, control.slots) == (ControlKind.GRANT, 7)


def test_events_are_read_some_at_a_time_and_some_types_left_out(store: Store) -> None:
    """A batch has one for each item that failed: nobody need hold them all."""
    record, ownership = accept(store)
    kinds = ["ItemFailed", "CheckpointCreated", "ItemFailed", "BatchExecuted"]
    ownership.commit(
        Commit(events=[OutboxEvent(f"e{n}", kind, "b", 1.0, b"{}") for n, kind in enumerate(kinds)])
    )
    first, second = store.events(record.execution_key, limit=2)
    rest = store.events(record.execution_key, second.position)
    assert [one.event_id for one in (first, second, *rest)] == ["e0", "e1", "e2", "e3"]
    chosen = store.events(
        record.execution_key, first.position, limit=1, without=("ItemFailed", "BatchExecuted")
    )
    assert [one.event_id for one in chosen] == ["e1"]
