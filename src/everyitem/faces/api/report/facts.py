"""What a report says, as data: bounded in size, however many items the batch has."""

import hashlib
from typing import Any

import msgspec

from everyitem.faces.api.views import View


class CheckFact(View, frozen=True, kw_only=True):
    """One check, and who made it."""

    name: str
    passed: bool
    detail: str


class Moment(View, frozen=True, kw_only=True):
    """One thing that happened."""

    at: str
    what: str


class Pace(View, frozen=True, kw_only=True):
    """Throughput during one stretch of time."""

    #: Epoch seconds.
    start: float
    end: float
    items_per_second: float


class SlowItem(View, frozen=True, kw_only=True):
    """An item that took long, over all attempts of its round."""

    item_id: str
    index: int
    duration_ms: float
    attempts: int
    succeeded: bool


class Cause(View, frozen=True, kw_only=True):
    """Items that failed for the same reason."""

    code: str
    type: str
    items: int
    #: The message of the first of them.
    message: str
    first_items: tuple[str, ...]


class CheckpointFact(View, frozen=True, kw_only=True):
    """A checkpoint with its place in the chain of hashes, and the control totals as of it."""

    sequence: int
    round: int
    created_at: str
    succeeded: int
    failed: int
    digest: str
    totals: dict[str, dict[str, str]] = msgspec.field(default_factory=dict)


class Checkpoints(View, frozen=True, kw_only=True):
    """The checkpoints: all of a short list, the first and the last of a long one."""

    count: int
    first: tuple[CheckpointFact, ...]
    last: tuple[CheckpointFact, ...]
    #: Checkpoints whose control totals were looked at, and those that add up.
    with_totals: int = 0
    adding_up: int = 0


class Availability(View, frozen=True, kw_only=True):
    """Active time against the time that passed, from the first run to the end or the last checkpoint."""

    elapsed_seconds: float
    active_seconds: float
    #: Pauses, downtime between runs, and time between rounds.
    inactive_seconds: float
    runs: int
    rounds: int


class Earlier(View, frozen=True, kw_only=True):
    """The run of the same kind before this one, to compare with."""

    batch_id: str
    execution: int
    #: Why it counts as the one before.
    relation: str
    items: int
    succeeded: int
    failed: int
    active_seconds: float
    finished_at: str | None
    totals: dict[str, dict[str, str]] = msgspec.field(default_factory=dict)


class Facts(View, frozen=True, kw_only=True):
    """Everything a report says of an execution; the same for who makes it anew from an unchanged store."""

    batch_id: str
    execution: int
    round: int
    state: str
    #: Whether this can be signed: it ended, has its response, and everything stored is sound.
    final: bool
    processor: str
    created_at: str | None
    finished_at: str | None
    items: int
    succeeded: int
    failed: int
    open: int
    in_doubt: int
    retried: int
    success_rate: float
    active_seconds: float
    items_digest: str
    #: SHA-256 that stands for the whole chain of checkpoints; empty without any.
    chain_digest: str
    error_code: str = ""
    error_message: str = ""
    #: As `executionMetadata.controlTotals`, or as of the last checkpoint before there is a response.
    totals: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)
    #: As recorded with the response.
    checks: tuple[CheckFact, ...] = ()
    #: What checking the store anew found, for this report.
    faults: tuple[str, ...] = ()
    timeline: tuple[Moment, ...] = ()
    paces: tuple[Pace, ...] = ()
    slowest: tuple[SlowItem, ...] = ()
    causes: tuple[Cause, ...] = ()
    checkpoints: Checkpoints
    availability: Availability
    #: Settings in force; values that might be secret are left out.
    settings: dict[str, str] = msgspec.field(default_factory=dict)
    #: Names of the parameters; their values are never shown.
    parameters: tuple[str, ...] = ()
    earlier: Earlier | None = None

    @property
    def digest(self) -> str:
        """SHA-256 over the facts as `--json` prints them in `facts`, without white space."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()


class Making(View, frozen=True, kw_only=True):
    """How, when and where a report was made; no part of its digest."""

    made_at: str
    host: str
    version: str
    python: str
    platform: str
    store: str


class Report(View, frozen=True, kw_only=True):
    """A report as JSON."""

    facts: Facts
    digest: str
    made: Making
