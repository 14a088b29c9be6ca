"""Named points at which the process can be made to die, before and after everything that becomes durable.

For the crash tests: `EVERYITEM_FAILPOINT=commit-proved:3` makes the process that passes this point for the
third time kill itself with SIGKILL there. `EVERYITEM_FAILPOINT=commit-proved:3:FILE` does so once only, in
whichever process comes first: FILE is created at that moment, and where it exists already nothing happens.
Nothing but the environment can set a point; none lies on the path of a single item; an unset one costs a
comparison. `docs/failpoints.md` lists them all.
"""

import os
import signal
from enum import Enum
from typing import NoReturn

VARIABLE = "EVERYITEM_FAILPOINT"


class Failpoint(Enum):
    """All points there are; the value says what has happened by then, and what has not."""

    # -- a store comes into being
    STORE_FILE_MADE = "the store's file exists and is empty"
    MIGRATION_BEGUN = "a schema migration has begun its transaction"
    MIGRATION_STATEMENT_RUN = "one statement of a schema migration has run, in its transaction"
    MIGRATION_COMMITTED = "a schema migration is committed, later ones are not"

    # -- a batch is accepted
    CREATE_PACKED = "the first items are packed, and nothing of the batch is in the store"
    CREATE_EXECUTION_INSERTED = "the execution is inserted, its items are not"
    CREATE_CHUNKS_INSERTED = "some or all of the items are inserted, not committed"
    CREATE_COMMITTED = "the batch is stored and owned, and nobody has been told"

    # -- somebody owns it
    CLAIM_WRITTEN = "a new owner is written, not committed"
    CLAIM_COMMITTED = "a new owner is committed, and has not begun"
    RENEW_COMMITTED = "the lease is prolonged and progress published"
    CONTROLS_TAKEN = "requests of other processes are deleted from the inbox, not committed and not obeyed"
    CONTROLS_COMMITTED = "requests of other processes are gone from the inbox and not obeyed yet"
    RELEASE_WRITTEN = "giving ownership back is written, not committed"
    RELEASE_COMMITTED = "ownership is given back"

    # -- a checkpoint
    COMMIT_SEALED = "the segments are encoded and chained, the transaction has not begun"
    COMMIT_PROVED = "the transaction has proved the ownership and written the state"
    COMMIT_SEGMENTS_INSERTED = "the segments are inserted"
    COMMIT_RETRIES_CHANGED = "the pending retries are changed"
    COMMIT_FAILURES_INSERTED = "the failed items' rows are inserted"
    COMMIT_EVENTS_INSERTED = "the events are inserted"
    COMMIT_COMPLETE = "everything of the transaction is written, nothing is committed"
    COMMIT_COMMITTED = "the checkpoint is committed, and the engine does not know"
    COMMIT_CONFIRMED = "the engine's loop has been told of the checkpoint"
    WAL_BEFORE_MOVE = "enough is committed to move the write-ahead log into the database"
    WAL_MOVED = "the write-ahead log was moved into the database"
    WAL_BEFORE_CLOSE = "the last transaction is over, the write-ahead log is still full"
    WAL_CLOSED = "the write-ahead log is moved and cut off, the file is not closed"

    # -- the end
    ANSWER_DERIVED = "every item has an outcome, the response is made and not recorded"
    ANSWER_INSERTED = "the response is inserted, its event and state are not committed"
    ANSWER_COMMITTED = "response, terminal event and state are recorded, ownership is still held"
    OUTPUT_WRITTEN = "a file of results or the response is written, and has no name yet"
    OUTPUT_NAMED = "such a file is complete under a temporary name"
    OUTPUT_RENAMED = "such a file is in its place, its folder is not synced"

    # -- going on
    REQUEST_INSERTED = "a request (pause, cancel) is inserted into the owner's inbox, not committed"
    REQUEST_COMMITTED = "a request (pause, cancel) is in the owner's inbox"
    ROUND_REOPENED = "a redrive's items count as failed no longer, its round is not inserted"
    ROUND_INSERTED = "a redrive's round and corrected items are inserted, not committed"
    ROUND_COMMITTED = "a redrive's round is open, and nothing of it has run"
    DAMAGE_MARKED = "damaged segments are marked as discarded, not committed"
    DAMAGE_DISCARDED = "damaged segments are discarded, and their items have not run again"

    # -- items run
    ITEMS_CLAIMED = "a thread has items to run and has begun none"
    ITEMS_WORKED = "a thread is done with its items and has not handed them in"
    OUTCOMES_TAKEN = "outcomes are taken out of a worker's memory, the engine's loop does not know"
    WORKER_SPAWNED = "a worker process exists, and the guard does not know"
    WORKER_READY = "in a worker: set-up is done, nobody has been told"
    SLICE_RECEIVED = "in a worker: a slice has arrived, none of its items is begun"
    RING_FULL = "in a worker: the ring of outcomes is full, and the coordinator has been told"
    LARGE_OUTCOME_SENT = "in a worker: an outcome larger than the ring is sent, its entry is not written"
    SLICE_WORKED = "in a worker: all outcomes of a slice are in the ring, nobody has been told"

    @property
    def label(self) -> str:
        """The name by which the environment asks for it."""
        return self.name.lower().replace("_", "-")


class _Charge:
    """What the environment asked for."""

    def __init__(self, point: Failpoint, passings: int, struck: str) -> None:
        self.point, self._left, self._struck = point, passings, struck

    def pass_by(self) -> None:
        self._left -= 1
        if self._left == 0 and self._is_first():
            _die()

    def _is_first(self) -> bool:
        if not self._struck:
            return True
        try:
            os.close(os.open(self._struck, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            return False
        return True


def passing(point: Failpoint) -> None:
    """Die here if the environment asked for it."""
    if _charge is not None and _charge.point is point:
        _charge.pass_by()


def parse(text: str) -> _Charge | None:
    """What `name:passings[:FILE]` asks for; None for nothing. Raises `ValueError` for anything else."""
    if not text:
        return None
    label, _, rest = text.partition(":")
    count, _, struck = rest.partition(":")
    points = {point.label: point for point in Failpoint}
    if label not in points or not count.isdecimal() or int(count) < 1:
        raise ValueError(
            f"{VARIABLE}={text!r}: expected NAME:N or NAME:N:FILE with a name of docs/failpoints.md and N "
            "from 1 on; unset the variable outside of tests"
        )
    return _Charge(points[label], int(count), struck)


def _die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("SIGKILL cannot be survived")


_charge = parse(os.environ.get(VARIABLE, ""))
