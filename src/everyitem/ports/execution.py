"""An execution as it is stored: when it is accepted, when one looks, and when one goes on with it."""

import msgspec

from everyitem.model.status import ExecutionStatus
from everyitem.ports.checkpoint import Counters, PendingRetry
from everyitem.ports.deferral import Deferral
from everyitem.ports.doubt import Intent
from everyitem.ports.progress import Progress


class NewExecution(msgspec.Struct, kw_only=True):
    """An accepted batch about to be stored."""

    batch_id: str
    #: 1, or n + 1 for a rerun.
    execution: int
    content: str
    items_digest: str
    item_count: int
    named: bool
    processor: str
    #: Digest of the processor's code, to warn when it changes between runs.
    processor_code: str
    #: The document without its items (JSON text).
    envelope: bytes
    #: Settings in force and their origin (JSON text).
    settings: bytes = b"{}"
    #: `itemSource` as accepted (JSON text), None for inline items.
    source: bytes | None = None


class ExecutionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One execution as stored."""

    execution_key: int
    batch_id: str
    execution: int
    round: int
    status: ExecutionStatus
    content: str
    items_digest: str
    item_count: int
    named: bool
    processor: str
    processor_code: str
    envelope: bytes
    settings: bytes
    source: bytes | None
    created_at: float
    finished_at: float | None
    runs: int
    counters: Counters
    progress: Progress | None
    response: bytes | None
    last_checkpoint_at: float | None
    #: Whether a living owner works on it now.
    owned: bool
    #: Since when only the record and its responses are kept (`ports.retention`); None while all of it is.
    pruned_at: float | None = None
    #: Items in doubt: known to be while somebody owns it, all with an intent otherwise.
    in_doubt: int = 0
    #: Whether services are to carry it out, and whether they shall hold it for now.
    queued: bool = False
    held: bool = False
    #: Items that await an event, as far as that is on disk.
    deferred: int = 0


class Recorded(msgspec.Struct, kw_only=True):
    """What a resume starts from."""

    #: One byte per item: 0 open, 1 succeeded, 2 failed (in the round in force).
    ledger: bytearray
    retries: list[PendingRetry]
    last_sequence: int
    counters: Counters
    #: Open items that may have been called: a run that begins finds them in doubt.
    intents: list[Intent] = []
    #: Open items that await an event.
    deferrals: list[Deferral] = []
