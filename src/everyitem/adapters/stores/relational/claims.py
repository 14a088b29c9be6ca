"""How an execution gets its owner: whoever creates it, or takes it over when nobody alive has it.

A claim is a compare-and-set: it holds only if the state row is still the one that was looked at. Its answer
may get lost with the connection; so each claim raises the count of writes by a step of its own, by which
the one who asks again finds that it was his.
"""

import secrets
import time
from collections.abc import Callable, Iterator
from itertools import chain as chained
from itertools import islice

import msgspec

from everyitem.adapters.stores.input_chunks import StoredChunk, seal_chunks
from everyitem.adapters.stores.liveness import LEASE, SECOND_LOOK, this_process
from everyitem.adapters.stores.relational import records
from everyitem.adapters.stores.relational.database import Connection, Database, insert_rows
from everyitem.failpoints import Failpoint, passing
from everyitem.model.errors import StoreError
from everyitem.model.items import Items
from everyitem.model.status import ExecutionStatus
from everyitem.ports.checkpoint import Counters
from everyitem.ports.execution import ExecutionRecord, NewExecution

#: Input chunks inserted at a time.
_CHUNK_ROWS = 16
#: Steps are drawn from so many numbers; eight bytes of count last for two billion claims.
_STEPS = 1 << 32

_json = msgspec.json.Encoder().encode

#: Its fields stand in `executions` under the names of `NewExecution`.
_NEW_COLUMNS = (*NewExecution.__struct_fields__, "created_at", "chain")


class Claimed(msgspec.Struct, frozen=True):
    """An execution this process owns from now on."""

    execution_key: int
    token: int
    chain: bytes


class Claims:
    """Creates and takes over executions for one store."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        #: Whose end was not seen: the count of writes a claim would lead to, by execution; the chain id of
        #: an execution to be created, by batch and number.
        self._unseen: dict[int, int] = {}
        self._unseen_new: dict[tuple[str, int], bytes] = {}

    def create(self, new: NewExecution, items: Items) -> tuple[ExecutionRecord, Claimed] | None:
        """Store an accepted batch with its items; None when that execution exists already."""
        name = (new.batch_id, new.execution)
        with self._connection.reading() as database:
            there = database.execute(
                "SELECT execution_key, chain, owner_token, owner_writes FROM executions "
                "JOIN execution_states USING (execution_key) WHERE batch_id = ? AND execution = ?",
                name,
            ).fetchone()
        if there is not None:
            key, chain, token, writes = there
            mine = (chain, token, writes) == (self._unseen_new.get(name), 1, 0)
            return self._created(name, Claimed(key, 1, chain)) if mine else None
        now = time.time()
        chain = records.chain_of(new, now)
        chunks = seal_chunks(items, chain)
        # packing begins before the transaction does, and goes on beside it
        first = list(islice(chunks, 1))
        passing(Failpoint.CREATE_PACKED)
        self._unseen_new[name] = chain
        with self._connection.writing() as database:
            created = self._insert(database, new, now, chain)
            if created is not None:
                passing(Failpoint.CREATE_EXECUTION_INSERTED)
                self._insert_chunks(database, created, chained(first, chunks))
        if created is not None:
            passing(Failpoint.CREATE_COMMITTED)
            return self._created(name, Claimed(created, 1, chain))
        del self._unseen_new[name]
        return None

    def store(self, new: NewExecution, items: Items, beside: Callable[[Database, int], None]) -> int | None:
        """Store an accepted batch that nobody carries out yet; None when that execution exists already.

        `beside` writes more in the same transaction; it is given the execution's key.
        """
        now = time.time()
        chain = records.chain_of(new, now)
        chunks = seal_chunks(items, chain)
        first = list(islice(chunks, 1))
        with self._connection.writing() as database:
            created = self._insert(database, new, now, chain, owned=False)
            if created is not None:
                beside(database, created)
                self._insert_chunks(database, created, chained(first, chunks))
        return created

    def _created(self, name: tuple[str, int], claimed: Claimed) -> tuple[ExecutionRecord, Claimed]:
        """The record to hand over; only when that is read, the end has been seen."""
        with self._connection.reading() as database:
            record = records.numbered(database, self._connection.dialect, *name)
        if record is None:
            raise StoreError("an execution just stored is not there; check the store's disk")
        del self._unseen_new[name]
        return record, claimed

    def take_over(self, execution_key: int, *, is_run: bool = True) -> Claimed | None:
        """Own the execution as this process, counting a new run if it `is_run`, unless its owner lives.

        Raises `UsageError` when there is no such execution.
        """
        with self._connection.reading() as database:
            held = records.read_holding(database, self._connection.dialect, execution_key)
        if held.writes == self._unseen.pop(execution_key, None):
            return Claimed(execution_key, held.token, held.chain)
        if held.owner is not None and held.owner.is_living(held.now):
            return None
        if held.owner is not None and held.owner.process.is_alive() is not False:
            # its lease has run out, or the clock has stepped: who lives renews meanwhile, and keeps it
            time.sleep(SECOND_LOOK)
        writes = held.writes + 1 + secrets.randbelow(_STEPS)
        self._unseen[execution_key] = writes
        with self._connection.writing() as database:
            taken = self._take(database, execution_key, held, writes, runs=int(is_run))
        passing(Failpoint.CLAIM_COMMITTED)
        del self._unseen[execution_key]
        return Claimed(execution_key, held.token + 1, held.chain) if taken else None

    def _take(
        self, database: Database, execution_key: int, held: records.Holding, writes: int, *, runs: int
    ) -> bool:
        me = this_process()
        taken = database.execute(
            "UPDATE execution_states SET owner_token = owner_token + 1, owner_writes = ?, "
            f"owner_expires_at = {self._connection.dialect.clock} + ?, owner_host = ?, owner_boot = ?, "
            "owner_pid = ?, owner_started = ?, runs = runs + ? "
            "WHERE execution_key = ? AND owner_token = ? AND owner_writes = ?",
            (
                *(writes, LEASE, me.host, me.boot, me.pid, me.started, runs),
                *(execution_key, held.token, held.writes),
            ),
        )
        if taken.rowcount != 1:
            return False
        # requests were meant for the owner that is gone
        database.execute("DELETE FROM controls WHERE execution_key = ?", (execution_key,))
        passing(Failpoint.CLAIM_WRITTEN)
        return True

    def _insert(
        self, database: Database, new: NewExecution, now: float, chain: bytes, *, owned: bool = True
    ) -> int | None:
        """The execution and its first state, if `owned` by this process; None when it exists already."""
        places = ", ".join("?" * len(_NEW_COLUMNS))
        row = database.execute(
            f"INSERT INTO executions ({', '.join(_NEW_COLUMNS)}) VALUES ({places}) "
            "ON CONFLICT (batch_id, execution) DO NOTHING RETURNING execution_key",
            (*msgspec.structs.astuple(new), now, chain),
        ).fetchone()
        if row is None:
            return None
        key: int = row[0]
        me = this_process()
        # runs and token: an owner is the first one, and has a run
        first, lease = int(owned), LEASE if owned else None
        database.execute(
            "INSERT INTO execution_states (execution_key, status, round, runs, last_sequence, last_digest, "
            "counters, owner_token, owner_writes, owner_expires_at, owner_host, owner_boot, owner_pid, "
            "owner_started) VALUES (?, ?, 1, ?, 0, ?, ?, ?, 0, "
            f"{self._connection.dialect.clock} + ?, ?, ?, ?, ?)",
            (
                *(key, ExecutionStatus.QUEUED, first, chain, _json(Counters()).decode(), first, lease),
                *(me.host, me.boot, me.pid, me.started),
            ),
        )
        return key

    def _insert_chunks(self, database: Database, execution_key: int, chunks: Iterator[StoredChunk]) -> None:
        rows = ((execution_key, *msgspec.structs.astuple(chunk)) for chunk in chunks)
        while part := list(islice(rows, _CHUNK_ROWS)):
            insert_rows(database, "INSERT INTO input_chunks VALUES", part)
            self._connection.note_size(sum(len(row[-1]) for row in part))
            passing(Failpoint.CREATE_CHUNKS_INSERTED)
