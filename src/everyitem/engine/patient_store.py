"""The store as the engine asks it: whatever is out of reach is asked for again.

A server that restarts, a network that is gone, a volume that is unmounted for a moment: none of them may
cost an execution, or what it has computed. Asking again is safe everywhere: reading changes nothing, and a
write whose end was not seen is recognised by the store when it is asked for again with the same objects.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence

from everyitem.engine.patience import Patience
from everyitem.model.allocation import Allocation
from everyitem.model.errors import UsageError
from everyitem.model.items import Items, StoredItems
from everyitem.model.status import ExecutionStatus
from everyitem.ports.checkpoint import Commit, Counters, SegmentHeader
from everyitem.ports.completions import Completion
from everyitem.ports.control import Control, ControlKind
from everyitem.ports.deferral import Deferral
from everyitem.ports.doubt import Intent, Settlement
from everyitem.ports.execution import ExecutionRecord, NewExecution, Recorded
from everyitem.ports.outbox import OutboxEvent
from everyitem.ports.outcome import FailedItem, HistoryEntry, Outcome
from everyitem.ports.progress import Progress
from everyitem.ports.store import OnDamage, Ownership, Store, StoreFault


class PatientOwnership:
    """An ownership whose store is asked again while it is out of reach."""

    def __init__(self, ownership: Ownership, patience: Patience) -> None:
        self.inner = ownership
        self._ask = patience.ask
        self.execution_key, self.token = ownership.execution_key, ownership.token

    def commit(self, commit: Commit) -> int:
        return self._ask(lambda: self.inner.commit(commit))

    def renew(self, progress: Progress | None) -> list[Control]:
        return self._ask(lambda: self.inner.renew(progress))

    def controls(self) -> list[Control]:
        return self._ask(self.inner.controls)

    def completions(self, limit: int) -> list[Completion]:
        return self._ask(lambda: self.inner.completions(limit))

    def allocation(self) -> Allocation | None:
        return self._ask(self.inner.allocation)

    def release(self, status: ExecutionStatus | None = None) -> None:
        self._ask(lambda: self.inner.release(status))


class PatientStore:
    """A store that is asked again while it is out of reach; what it gives is patient, too."""

    def __init__(self, store: Store, patience: Patience) -> None:
        self.url = store.url
        self._store, self._ask = store, patience.ask
        self._patience = patience

    def find(self, batch_id: str, execution: int | None = None) -> ExecutionRecord | None:
        return self._ask(lambda: self._store.find(batch_id, execution))

    def executions(self) -> list[ExecutionRecord]:
        return self._ask(self._store.executions)

    def create(self, new: NewExecution, items: Items) -> tuple[ExecutionRecord, Ownership] | None:
        created = self._ask(lambda: self._store.create(new, items))
        return None if created is None else (created[0], PatientOwnership(created[1], self._patience))

    def claim(self, execution_key: int, *, is_run: bool = True) -> Ownership | None:
        ownership = self._ask(lambda: self._store.claim(execution_key, is_run=is_run))
        return None if ownership is None else PatientOwnership(ownership, self._patience)

    def open_round(
        self, ownership: Ownership, indices: Sequence[int], corrections: Mapping[int, bytes]
    ) -> int:
        if not isinstance(ownership, PatientOwnership):
            raise UsageError("a round is opened with the ownership this store gave")
        return self._ask(lambda: self._store.open_round(ownership.inner, indices, corrections))

    def recorded(self, execution_key: int, *, accept_damage: bool = False) -> Recorded:
        return self._ask(lambda: self._store.recorded(execution_key, accept_damage=accept_damage))

    def items(self, execution_key: int, *, round_: int | None = None) -> Items:
        items = self._ask(lambda: self._store.items(execution_key, round_=round_))
        if isinstance(items, StoredItems):
            load = items.load
            items.load = lambda number: self._ask(lambda: load(number))
        return items

    def outcomes(self, execution_key: int, *, on_damage: OnDamage | None = None) -> Iterator[Outcome]:
        return self._store.outcomes(execution_key, on_damage=on_damage)

    def failures(
        self, execution_key: int, *, with_items: bool = False, after: int = -1
    ) -> Iterator[FailedItem]:
        return self._store.failures(execution_key, with_items=with_items, after=after)

    def history(
        self, execution_key: int, index: int, *, on_damage: OnDamage | None = None
    ) -> list[HistoryEntry]:
        return self._ask(lambda: self._store.history(execution_key, index, on_damage=on_damage))

    def segments(self, execution_key: int) -> Iterator[SegmentHeader]:
        # from the beginning again: a walk that was cut off has no place to go on from
        return iter(self._ask(lambda: list(self._store.segments(execution_key))))

    def recount(self, execution_key: int) -> tuple[Counters, list[int]]:
        return self._ask(lambda: self._store.recount(execution_key))

    def verify(self, execution_key: int) -> list[StoreFault]:
        return self._ask(lambda: self._store.verify(execution_key))

    def events(
        self,
        execution_key: int,
        after: int = 0,
        *,
        limit: int | None = None,
        without: Collection[str] = (),
    ) -> list[OutboxEvent]:
        return self._ask(lambda: self._store.events(execution_key, after, limit=limit, without=without))

    def intents(self, execution_key: int) -> list[Intent]:
        return self._ask(lambda: self._store.intents(execution_key))

    def deferrals(self, execution_key: int) -> list[Deferral]:
        return self._ask(lambda: self._store.deferrals(execution_key))

    def request(
        self,
        execution_key: int,
        kind: ControlKind,
        requested_by: str,
        settlement: Settlement | None = None,
        slots: int | None = None,
    ) -> None:
        self._ask(lambda: self._store.request(execution_key, kind, requested_by, settlement, slots))

    def close(self) -> None:
        self._store.close()
