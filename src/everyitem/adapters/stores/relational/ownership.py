"""The writing side of one execution: every transaction proves that the token is still the current one."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter

import msgspec
from msgspec.structs import replace

from everyitem.adapters.stores.index_sets import pack_ranges
from everyitem.adapters.stores.input_chunks import correction_digest
from everyitem.adapters.stores.liveness import LEASE
from everyitem.adapters.stores.relational import rows
from everyitem.adapters.stores.relational.allocations import read_allocation
from everyitem.adapters.stores.relational.database import Connection, Database
from everyitem.adapters.stores.relational.deferrals import positions_of_completions, read_completions
from everyitem.adapters.stores.rounds import seal_round
from everyitem.adapters.stores.segments import StoredSegment, seal
from everyitem.adapters.stores.transactions import Position, Transactions
from everyitem.failpoints import Failpoint, passing
from everyitem.model.allocation import Allocation
from everyitem.model.errors import IllegalMove, OwnershipLost, UsageError
from everyitem.model.status import ExecutionStatus, may_become
from everyitem.ports.checkpoint import Commit, Counters
from everyitem.ports.completions import Completion
from everyitem.ports.control import Control, ControlKind
from everyitem.ports.doubt import Settlement
from everyitem.ports.progress import Progress

_json = msgspec.json.Encoder().encode
_decode_settlement = msgspec.json.Decoder(Settlement).decode

#: Ends that stand until somebody resumes or redrives.
_ENDS = frozenset(
    {
        ExecutionStatus.COMPLETED,
        ExecutionStatus.COMPLETED_WITH_ERRORS,
        ExecutionStatus.FAILED,
        ExecutionStatus.CANCELLED,
    }
)

#: The first statement of every transaction. It changes nothing unless the token is still ours and our
#: count of transactions is the store's: so no stale owner writes, and nothing is ever written twice.
_GUARD = """
UPDATE execution_states SET
    owner_writes = owner_writes + 1,
    owner_expires_at = {clock} + ?,
    round = ?,
    last_sequence = ?,
    last_digest = ?,
    last_checkpoint_at = coalesce(?, last_checkpoint_at),
    counters = coalesce(?, counters),
    progress = coalesce(?, progress),
    status = coalesce(?, status),
    finished_at = CASE WHEN ? = 1 THEN ? ELSE finished_at END
WHERE execution_key = ? AND owner_token = ? AND owner_writes = ? AND owner_expires_at IS NOT NULL
"""


#: What the first statement asks further where it writes a state: that the move is legal.
_LEGAL: dict[ExecutionStatus | None, str] = {
    status: f"AND status IN ({', '.join(repr(str(start)) for start in may_become(status))})"
    for status in ExecutionStatus
}


class TableOwnership:
    """`ports.store.Ownership` in tables; usable from any thread.

    A `commit` or `open_round` that raised `StoreError` may be repeated with the very same objects: when the
    transaction turns out to have happened after all, it is not done again.
    """

    def __init__(self, connection: Connection, execution_key: int, *, token: int, chain: bytes) -> None:
        self.execution_key = execution_key
        self.token = token
        self._chain = chain
        self._connection = connection
        self._guard = threading.Lock()  # one transaction at a time, and every field below
        self._transactions = Transactions(self._read_position, name=f"execution {execution_key}")
        #: Requests read from the inbox and not handed over yet.
        self._taken: list[Control] = []
        #: Positions of what events say that was handed over already.
        self._told: set[int] = set()

    def commit(self, commit: Commit) -> int:
        """Write one checkpoint transaction; returns the sequence number of the last segment."""

        def write(position: Position) -> Position:
            now = time.time()
            sealed = self._seal(commit, position, now)
            passing(Failpoint.COMMIT_SEALED)
            after = position
            if sealed:
                after = replace(position, last_sequence=sealed[-1].sequence, last_digest=sealed[-1].digest)
            with self._connection.writing() as database:
                self._connection.note_size(sum(len(segment.body) for segment in sealed))
                after = self._pass_guard(
                    database,
                    after,
                    checkpoint_at=now if sealed else None,
                    counters=commit.counters,
                    progress=commit.progress,
                    status=commit.status,
                )
                passing(Failpoint.COMMIT_PROVED)
                rows.insert_commit(
                    database,
                    self._connection.dialect,
                    self.execution_key,
                    position.round,
                    commit,
                    sealed,
                    now,
                )
                passing(Failpoint.COMMIT_COMPLETE)
            passing(Failpoint.COMMIT_COMMITTED if commit.response is None else Failpoint.ANSWER_COMMITTED)
            return after

        return self._transact(write, what=commit).last_sequence

    def renew(self, progress: Progress | None) -> list[Control]:
        """Prolong the lease, publish progress, and take the requests that have come in."""

        def write(position: Position) -> Position:
            with self._connection.writing() as database:
                after = self._pass_guard(database, position, progress=progress)
                # one statement: what comes in between a look and a deletion would be lost
                taken = _controls(database, f"DELETE {_WAITING} RETURNING {_CONTROL}", self.execution_key)
                known = {control.position for control in self._taken}
                self._taken += [control for control in taken if control.position not in known]
                if taken:
                    passing(Failpoint.CONTROLS_TAKEN)
            passing(Failpoint.CONTROLS_COMMITTED if taken else Failpoint.RENEW_COMMITTED)
            return after

        self._transact(write)
        with self._guard:
            taken, self._taken = self._taken, []
        return taken

    def controls(self) -> list[Control]:
        """Requests that have come in and were not taken yet (a cheap read)."""
        with self._guard:
            self._transactions.refuse_given_back()
            with self._connection.reading() as database:
                return _controls(database, f"SELECT {_CONTROL} {_WAITING}", self.execution_key)

    def completions(self, limit: int) -> list[Completion]:
        """What events say of items that are deferred on disk, as far as it was not handed over before."""
        with self._guard:
            self._transactions.refuse_given_back()
            with self._connection.reading() as database:
                there = positions_of_completions(database, self.execution_key)
                self._told.intersection_update(there)
                fresh = [position for position in there if position not in self._told][:limit]
                completions = read_completions(database, self.execution_key, fresh)
            self._told.update(one.position for one in completions)
            return completions

    def allocation(self) -> Allocation | None:
        """What events have allocated to the execution."""
        with self._guard:
            self._transactions.refuse_given_back()
            with self._connection.reading() as database:
                return read_allocation(database, self.execution_key)

    def open_round(self, indices: Sequence[int], corrections: Mapping[int, bytes]) -> int:
        """Open the next round over some failed items; returns its number.

        Raises `UsageError` when one of them does not count as failed.
        """

        def write(position: Position) -> Position:
            number = position.round + 1
            opened = seal_round(
                self._chain, number, time.time(), pack_ranges((index, 1) for index in set(indices))
            )
            corrected = [
                (self.execution_key, index, number, correction_digest(self._chain, number, index, item), item)
                for index, item in corrections.items()
            ]
            with self._connection.writing() as database:
                self._connection.note_size(sum(map(len, corrections.values())))
                after = replace(position, round=number)
                after = self._pass_guard(database, after, status=ExecutionStatus.RUNNING)
                self._refuse_pruned(database)
                rows.insert_round(
                    database,
                    self._connection.dialect,
                    self.execution_key,
                    opened,
                    corrected,
                    set(indices),
                )
                passing(Failpoint.ROUND_INSERTED)
            passing(Failpoint.ROUND_COMMITTED)
            return after

        return self._transact(write, what=indices).round

    def release(self, status: ExecutionStatus | None = None) -> None:
        """Give ownership back, leaving the execution in `status` (None: as it is); safe to repeat."""

        def write(position: Position) -> Position:
            with self._connection.writing() as database:
                after = self._pass_guard(database, position, keep=False, status=status)
                passing(Failpoint.RELEASE_WRITTEN)
            passing(Failpoint.RELEASE_COMMITTED)
            return after

        try:
            with self._guard:
                self._transactions.give_back(write)
        finally:
            self._connection.close()

    def _seal(self, commit: Commit, position: Position, now: float) -> list[StoredSegment]:
        """Encode, pack and chain the segments: outside of any lock, it is the long part."""
        sealed: list[StoredSegment] = []
        previous = position.last_digest
        for sequence, draft in enumerate(commit.segments, start=position.last_sequence + 1):
            segment = seal(
                draft,
                chain=self._chain,
                sequence=sequence,
                round_=position.round,
                created_at=now,
                previous=previous,
            )
            sealed.append(segment)
            previous = segment.digest
        return sealed

    def _transact(self, write: Callable[[Position], Position], *, what: object = None) -> Position:
        with self._guard:
            return self._transactions.run(write, what=what)

    def _read_position(self) -> Position | None:
        """Where the record stands; None when it was given back."""
        with self._connection.reading() as database:
            row = database.execute(
                "SELECT owner_expires_at IS NULL, owner_writes, round, last_sequence, last_digest "
                "FROM execution_states WHERE execution_key = ? AND owner_token = ?",
                (self.execution_key, self.token),
            ).fetchone()
        if row is None:
            raise self._lost()
        given_back, *position = row
        return None if given_back else Position(*position)

    def _pass_guard(
        self,
        database: Database,
        after: Position,
        *,
        keep: bool = True,
        checkpoint_at: float | None = None,
        counters: Counters | None = None,
        progress: Progress | None = None,
        status: ExecutionStatus | None = None,
    ) -> Position:
        """The first statement of every transaction: prove the token and write the state row."""
        changed = database.execute(
            _GUARD.format(clock=self._connection.dialect.clock) + _LEGAL.get(status, ""),
            (
                LEASE if keep else None,
                after.round,
                after.last_sequence,
                after.last_digest,
                checkpoint_at,
                None if counters is None else _json(counters).decode(),
                None if progress is None else _json(progress).decode(),
                status,
                int(status is not None),
                time.time() if status in _ENDS else None,
                self.execution_key,
                self.token,
                after.writes,
            ),
        ).rowcount
        if changed != 1:
            self._refuse_illegal(database, status)
            raise self._lost()
        return replace(after, writes=after.writes + 1)

    def _refuse_illegal(self, database: Database, status: ExecutionStatus | None) -> None:
        row = database.execute(
            "SELECT status FROM execution_states WHERE execution_key = ? AND owner_token = ?",
            (self.execution_key, self.token),
        ).fetchone()
        if row is not None and status is not None and row[0] not in may_become(status):
            raise IllegalMove(f"execution {self.execution_key} is {row[0]} and cannot become {status}")

    def _refuse_pruned(self, database: Database) -> None:
        pruned = database.execute(
            "SELECT 1 FROM execution_states WHERE execution_key = ? AND pruned_at IS NOT NULL",
            (self.execution_key,),
        ).fetchone()
        if pruned is not None:
            raise UsageError(f"the items of execution {self.execution_key} have been pruned meanwhile")

    def _lost(self) -> OwnershipLost:
        return OwnershipLost(
            f"execution {self.execution_key} is owned by another process now (token {self.token} has been "
            "replaced); nothing more is recorded by this one"
        )


_CONTROL = "position, kind, requested_at, requested_by, settlement, slots"
_WAITING = "FROM controls WHERE execution_key = ?"


def _controls(database: Database, statement: str, execution_key: int) -> list[Control]:
    return [
        Control(
            position,
            ControlKind(kind),
            requested_at,
            requested_by,
            None if settlement is None else _decode_settlement(settlement),
            slots,
        )
        for position, kind, requested_at, requested_by, settlement, slots in sorted(
            database.execute(statement, (execution_key,)).fetchall(), key=itemgetter(0)
        )
    ]
