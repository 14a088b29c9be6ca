"""The context: what an item processor may know and ask besides its item (contract section 5)."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from everyitem.work.assignment import Assignment
from everyitem.work.readonly import freeze
from everyitem.work.secrets import reveal
from everyitem.work.stretch import Stretch
from everyitem.work.window import CANCELLED, HEARTBEAT, SINCE, STARTED, Window, new_window

if TYPE_CHECKING:
    from logging import Logger

#: One log record of an item: (index, attempt, level name, text).
LogEntry = tuple[int, int, str, str]


class BatchView:
    """One batch as every context of this process shows it; texts are decoded once, when asked for."""

    def __init__(self, assignment: Assignment) -> None:
        self.assignment = assignment

    @cached_property
    def parameters(self) -> Any:
        parameters = msgspec.json.decode(self.assignment.parameters)
        return freeze(reveal(parameters, self.assignment.secrets_directory))

    @cached_property
    def configuration(self) -> Any:
        return _read_only(self.assignment.configuration)

    @cached_property
    def resources(self) -> Any:
        return _read_only(self.assignment.resources)

    @cached_property
    def error_policy(self) -> Any:
        return _read_only(self.assignment.error_policy)


class ChunkItem(msgspec.Struct, frozen=True):
    """What the context of a chunk knows of one of its items."""

    item_id: str
    #: 0-based position in the batch.
    index: int
    #: 1-based.
    attempt: int
    #: The same at every attempt, in every run; see `ItemContext.idempotency_key`.
    idempotency_key: str


class ItemContext:
    """What surrounds the item at hand. Read-only; valid during the call it was handed to.

    A slot reuses its context for every item, and everything is worked out when asked for, so that an
    item which asks for nothing pays nothing.
    """

    __slots__ = ("_batch", "_chunk", "_keep_log", "_logger", "_stretch", "_window")

    def __init__(self, batch: BatchView) -> None:
        self._batch = batch
        self._stretch = Stretch(b"[null]", range(1), first=0, attempt=1)
        self._window: Window = new_window(0, 0)
        self._keep_log: Callable[[LogEntry], None] = _drop
        self._logger: Logger | None = None
        #: First position and number of items of the current chunk; None outside chunk processors.
        self._chunk: tuple[int, int] | None = None

    def _begin(self, stretch: Stretch, window: Window, keep_log: Callable[[LogEntry], None]) -> None:
        """Point the context at the items a slot is about to run."""
        self._stretch, self._window, self._keep_log = stretch, window, keep_log
        self._chunk = None

    def _begin_chunk(self, position: int, count: int) -> None:
        self._chunk = (position, count)

    def _position(self) -> int:
        return self._chunk[0] if self._chunk else self._window[STARTED]

    def _key(self, item_id: str) -> str:
        return f"{self._batch.assignment.key_prefix}/{item_id}"

    def _id_at(self, position: int) -> str:
        if self._batch.assignment.named:
            return self._stretch.item_id_at(position)
        return str(self._stretch.index_at(position))

    @property
    def batch_id(self) -> str:
        """The batch's id."""
        return self._batch.assignment.batch_id

    @property
    def item_id(self) -> str:
        """The item's own `itemId`, else its index as a string (of a chunk: its first item's)."""
        return self._id_at(self._position())

    @property
    def index(self) -> int:
        """0-based position of the item in the batch (of a chunk: its first item's)."""
        return self._stretch.index_at(self._position())

    @property
    def attempt(self) -> int:
        """1 at the first attempt, 2 at the first retry."""
        return self._stretch.attempt

    @property
    def idempotency_key(self) -> str:
        """`batchId/itemId` (`batchId@n/itemId` from execution 2 on): the same at every attempt and resume."""
        return self._key(self.item_id)

    @property
    def items(self) -> list[ChunkItem]:
        """In a chunk processor: id, index, attempt and idempotency key of each item handed over."""
        first, count = self._chunk or (self._position(), 1)
        ids = [self._id_at(position) for position in range(first, first + count)]
        return [
            ChunkItem(item_id, self._stretch.index_at(first + number), self.attempt, self._key(item_id))
            for number, item_id in enumerate(ids)
        ]

    @property
    def parameters(self) -> Any:
        """`processingConfiguration.parameters` of the document, read-only."""
        return self._batch.parameters

    @property
    def configuration(self) -> Any:
        """`processingConfiguration` as in force, read-only."""
        return self._batch.configuration

    @property
    def resources(self) -> Any:
        """`allocatedResources` as in force, read-only."""
        return self._batch.resources

    @property
    def error_policy(self) -> Any:
        """Strategy, retries and tolerance as in force, read-only."""
        return self._batch.error_policy

    @property
    def logger(self) -> "Logger":
        """A logger whose records are kept with the item's history, for `everyitem explain`."""
        if self._logger is None:
            # not at the top: a worker whose items log nothing need not load logging
            from everyitem.work.item_logger import build_logger

            self._logger = build_logger(self._log)
        return self._logger

    def _log(self, level: str, text: str) -> None:
        self._keep_log((self.index, self.attempt, level, text))

    @property
    def deadline(self) -> datetime | None:
        """When this attempt is out of time (UTC): by the item timeout or the batch timeout, else None."""
        ends = []
        timeout = self._batch.assignment.item_timeout
        if timeout is not None:
            begun = max(self._window[SINCE], self._window[HEARTBEAT])
            ends.append(time.time() + timeout - (time.monotonic_ns() - begun) / 1e9)
        if self._batch.assignment.deadline is not None:
            ends.append(self._batch.assignment.deadline)
        return datetime.fromtimestamp(min(ends), UTC) if ends else None

    @property
    def traceparent(self) -> str:
        """The trace the batch belongs to, as W3C Trace Context writes it: for calls to others; else empty."""
        return self._batch.assignment.traceparent

    @property
    def cancelled(self) -> bool:
        """True once the outcome is no longer wanted (timeout, interruption): a long item may stop early."""
        return bool(self._window[CANCELLED])

    def heartbeat(self) -> None:
        """Say that a long item is alive: the item timeout counts from now on."""
        self._window[HEARTBEAT] = time.monotonic_ns()


def _read_only(text: bytes) -> Any:
    return freeze(msgspec.json.decode(text))


def _drop(entry: LogEntry) -> None:
    """Where records go that are logged outside any item."""
