"""Whatever an owner records, in whatever order, the store tells exactly that, across owners and rounds."""

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.services.batches import created

from everyitem.adapters.stores import open_store
from everyitem.model.errors import ErrorCode, OwnershipLost
from everyitem.model.items import InMemoryItems
from everyitem.model.outcome import Excuse, Failure, Successes
from everyitem.model.status import ExecutionStatus
from everyitem.ports.checkpoint import Commit, Counters, PendingRetry, SegmentDraft
from everyitem.ports.outbox import OutboxEvent
from everyitem.ports.outcome import FailedItem
from everyitem.ports.store import Ownership

COUNT = 12
OPEN, SUCCEEDED, FAILED = 0, 1, 2


class StoreModel(RuleBasedStateMachine):
    """One execution of twelve items, and what must be recorded of it."""

    #: Names a store where nothing is yet.
    new_store: Callable[[], str]

    def __init__(self) -> None:
        super().__init__()
        self.url = type(self).new_store()
        self.store = open_store(self.url)

    @initialize()
    def accept(self) -> None:
        items = InMemoryItems(msgspec.json.encode(list(range(COUNT))), named=False)
        record, self.owner = created(self.store, items)
        self.key = record.execution_key
        self.states = [OPEN] * COUNT
        #: Charged attempts of each item in its latest round, and items that wait for a retry.
        self.attempts = [0] * COUNT
        #: All calls of each item in its latest round: those an outage took use up no attempt.
        self.calls = [0] * COUNT
        #: The round, in which each item was called last, and how many calls of it were before a redrive.
        self.round = 1
        self.called_in = [0] * COUNT
        self.before = [0] * COUNT
        self.waiting: set[int] = set()
        self.items = list(range(COUNT))
        #: Handles that were replaced, and the ids of all events, in order.
        self.stale: list[Ownership] = []
        self.events: list[str] = []

    def open_items(self) -> list[int]:
        return [index for index in range(COUNT) if self.states[index] == OPEN]

    def counters(self) -> Counters:
        return Counters(succeeded=self.states.count(SUCCEEDED), failed=self.states.count(FAILED))

    @precondition(lambda self: self.open_items())
    @rule(data=st.data(), parts=st.integers(1, 3))
    def record(self, data: st.DataObject, parts: int) -> None:
        """One commit of several segments, each with any mix of successes, failures and retries."""
        commit = Commit(segments=[], failed=[], retries_set=[], retries_cleared=[])
        for _ in range(parts):
            fates = data.draw(
                st.dictionaries(
                    st.sampled_from(self.open_items() or [0]),
                    st.sampled_from(["ok", "bad", "again", "taken"]),
                    max_size=5,
                )
            )
            draft = SegmentDraft([], [])
            for index, fate in fates.items():
                if self.states[index] == OPEN:
                    self.settle(commit, draft, index, fate)
            commit.segments.append(draft)  # type: ignore[attr-defined]
        commit.counters = self.counters()
        name = f"event/{len(self.events)}"
        commit.events = [OutboxEvent(name, "CheckpointCreated", "b", 1.0, b"{}")]
        self.events.append(name)
        self.owner.commit(commit)

    def settle(self, commit: Commit, draft: SegmentDraft, index: int, fate: str) -> None:
        self.calls[index] += 1
        self.called_in[index] = self.round
        attempt = self.attempts[index] + 1
        self.attempts[index] += fate != "taken"
        if fate == "ok":
            self.states[index] = SUCCEEDED
            draft.successes.append(Successes([(index, 1)], attempt, [1000], f"[{index}]".encode()))
        else:
            final = fate == "bad"
            failure = Failure(index, attempt, ErrorCode.ITEM_ERROR, "E", "m", 1000, final=final)
            failure.excused = fate == "taken"
            draft.failures.append(failure)
        if fate == "bad":
            self.states[index] = FAILED
            row = FailedItem(index, str(index), attempt, "ITEM_ERROR", "E", "m", float(attempt))
            commit.failed.append(row)  # type: ignore[attr-defined]
        commit.retries_set[:] = [one for one in commit.retries_set if one.index != index]  # type: ignore[index]
        if fate in ("again", "taken"):
            self.waiting.add(index)
            retry = PendingRetry(index, self.attempts[index], 1.0)
            commit.retries_set.append(retry)  # type: ignore[attr-defined]
        elif index in self.waiting:
            self.waiting.remove(index)
            commit.retries_cleared.append(index)  # type: ignore[attr-defined]

    def written(self) -> list[int]:
        """Items that wait because of an attempt of this round."""
        waiting = (index for index in self.waiting if self.called_in[index] == self.round)
        return sorted(index for index in waiting if self.attempts[index])

    @precondition(lambda self: self.written())
    @rule(data=st.data())
    def excuse(self, data: st.DataObject) -> None:
        """An outage is noticed by attempts that are written: they are given back."""
        chosen = data.draw(st.sets(st.sampled_from(self.written()), min_size=1))
        excuses = [Excuse(index, self.attempts[index]) for index in chosen]
        for index in chosen:
            self.attempts[index] -= 1
        retries = [PendingRetry(index, self.attempts[index], 1.0) for index in chosen]
        self.owner.commit(Commit(segments=[SegmentDraft([], [], excuses=excuses)], retries_set=retries))

    @precondition(lambda self: FAILED in self.states)
    @rule(data=st.data())
    def redrive(self, data: st.DataObject) -> None:
        """Some failed items start over, perhaps with other payloads."""
        failed = [index for index in range(COUNT) if self.states[index] == FAILED]
        chosen = data.draw(st.lists(st.sampled_from(failed), min_size=1, unique=True))
        corrected = data.draw(st.sets(st.sampled_from(chosen)))
        self.store.open_round(self.owner, chosen, {index: b"%d" % (index + 100) for index in corrected})
        for index in chosen:
            self.before[index] += self.calls[index]
            self.states[index], self.attempts[index], self.calls[index] = OPEN, 0, 0
        self.round += 1
        for index in corrected:
            self.items[index] = index + 100
        self.owner.commit(Commit(counters=self.counters()))

    @rule(reopen=st.booleans())
    def change_owner(self, reopen: bool) -> None:
        """The owner gives up, another handle goes on."""
        self.owner.release(ExecutionStatus.INTERRUPTED)
        if reopen:
            self.store.close()
            self.store = open_store(self.url)
        claimed = self.store.claim(self.key)
        assert claimed is not None
        assert claimed.token == self.owner.token + 1
        self.stale.append(self.owner)
        self.owner = claimed

    @precondition(lambda self: self.stale)
    @rule(data=st.data(), index=st.integers(0, COUNT - 1))
    def a_former_owner_writes(self, data: st.DataObject, index: int) -> None:
        """Whatever a handle that was given up tries, it is refused, and nothing changes."""
        former = data.draw(st.sampled_from(self.stale))
        draft = SegmentDraft([Successes([(index, 1)], 1, [1000], b"[0]")], [])
        for write in (
            lambda: former.commit(Commit(segments=[draft])),
            lambda: former.renew(None),
            lambda: self.store.open_round(former, [index], {}),
        ):
            with pytest.raises(OwnershipLost):
                write()

    @rule()
    def a_rival_claims(self) -> None:
        """While the owner lives, nobody else becomes it."""
        assert self.store.claim(self.key) is None

    @invariant()
    def the_store_tells_what_was_recorded(self) -> None:
        recorded = self.store.recorded(self.key)
        assert list(recorded.ledger) == self.states
        waiting = {retry.index: retry.attempts for retry in recorded.retries}
        assert waiting == {index: self.attempts[index] for index in self.waiting}
        assert [event.event_id for event in self.store.events(self.key)] == self.events
        outcomes = list(self.store.outcomes(self.key))
        settled = [index for index in range(COUNT) if self.states[index] != OPEN]
        assert [one.index for one in outcomes] == settled
        assert [one.attempts for one in outcomes] == [self.attempts[index] for index in settled]
        assert [one.duration_ms for one in outcomes] == [float(self.calls[index]) for index in settled]
        failed = [index for index in range(COUNT) if self.states[index] == FAILED]
        assert [one.index for one in self.store.failures(self.key)] == failed
        assert self.store.items(self.key).text(range(COUNT)) == msgspec.json.encode(self.items)
        assert self.store.verify(self.key) == []

    @rule()
    def a_history_says_which_attempts_count(self) -> None:
        """No number counts twice; looked at for the item that was called most."""
        index = max(range(COUNT), key=self.calls.__getitem__)
        latest = self.store.history(self.key, index)[self.before[index] :]
        counting = [one.attempt for one in latest if one.failure is None or one.failure.used_up]
        assert counting == list(range(1, self.attempts[index] + 1))
        assert len(latest) == self.calls[index]

    def teardown(self) -> None:
        self.owner.release()
        self.store.close()


def test_a_store_tells_what_was_recorded(new_store: Callable[[], str]) -> None:
    """Any sequence of commits, redrives and changes of owner, on every kind of store."""

    class Model(StoreModel):
        pass

    Model.new_store = staticmethod(new_store)  # type: ignore[assignment]
    examples = 20 if new_store().startswith("sqlite") else 8
    run_state_machine_as_test(
        Model, settings=settings(max_examples=examples, stateful_step_count=12, deadline=None)
    )
