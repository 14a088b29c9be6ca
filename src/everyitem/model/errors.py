"""Every error everyitem raises on purpose, and the five codes of the specification (section 6)."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from everyitem.model.retry_after import seconds_asked


class ErrorCode(StrEnum):
    """The specification's error categories; the only codes a response or an item failure carries."""

    EXECUTION_ERROR = "EXECUTION_ERROR"
    RESOURCE_ERROR = "RESOURCE_ERROR"
    ITEM_ERROR = "ITEM_ERROR"
    SYSTEM_ERROR = "SYSTEM_ERROR"
    TIMEOUT_ERROR = "TIMEOUT_ERROR"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with an input, and where.

    `path` is a JSON path (`$.batchItems[3].itemId`), a file position (`items.jsonl:17`) or a setting's
    name; `code` decides which error code the whole refusal gets.
    """

    path: str
    message: str
    code: ErrorCode = ErrorCode.EXECUTION_ERROR

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class EveryitemError(Exception):
    """Base of all errors everyitem raises on purpose."""

    code = ErrorCode.EXECUTION_ERROR


class UsageError(EveryitemError):
    """The call itself cannot be carried out: no such file, batch, execution or flag (exit code 2)."""


class UnknownBatch(UsageError):
    """There is no such batch in the store, or no such execution of it."""


class UnknownItem(UsageError):
    """The batch has no such item."""


class WrongState(UsageError):
    """The execution is in a state in which what was asked for makes no sense; says which."""


class DocumentRefused(EveryitemError):
    """The batch document is not acceptable; carries *all* problems found.

    `may_pass`: there is nothing wrong but that its items cannot be read now, and may be later.
    """

    def __init__(self, problems: Sequence[Problem], *, may_pass: bool = False) -> None:
        self.problems, self.may_pass = tuple(problems), may_pass
        super().__init__("; ".join(str(problem) for problem in self.problems[:3]))

    @property
    def refusal_code(self) -> ErrorCode:
        """Contract section 2: problems of the envelope win over problems of items or resources."""
        codes = {problem.code for problem in self.problems}
        for code in (ErrorCode.EXECUTION_ERROR, ErrorCode.RESOURCE_ERROR, ErrorCode.SYSTEM_ERROR):
            if code in codes:
                return code
        return ErrorCode.ITEM_ERROR


class UnknownProcessor(EveryitemError):
    """No item processor of that name is registered."""


class ContentDiffers(EveryitemError):
    """Another content was already accepted under the same batchId; nothing was touched."""


class StoreError(EveryitemError):
    """The store cannot be read or written; the execution stays resumable."""

    code = ErrorCode.SYSTEM_ERROR


class StoreFull(StoreError):
    """The disk under the store is full; free space and resume."""

    code = ErrorCode.RESOURCE_ERROR


class StoreRefused(StoreError):
    """The store is there and does not let this process in, or not write; waiting does not help."""


class StoreDamaged(StoreError):
    """A segment, input chunk or chain link does not match its digest; names the damaged record."""


class StoreTooNew(StoreError):
    """The store was written by a newer everyitem; this version does not touch it."""


class OwnershipLost(StoreError):
    """Another process owns the execution now; nothing more is recorded by this one."""


class IllegalMove(StoreError):
    """The execution cannot go from the state it is in to the one asked for; nothing was written."""


class PermanentItemError(Exception):
    """Raise it from an item processor: the item fails at once and is never retried."""


class RetryLater(Exception):
    """Raise it from an item processor: try again after `seconds`; uses up no retry."""

    def __init__(self, seconds: float, message: str = "") -> None:
        self.seconds = float(seconds)
        super().__init__(message or f"try again in {self.seconds:g} s")

    @classmethod
    def from_header(cls, value: str | None, *, default: float = 1.0) -> Self:
        """What an HTTP `Retry-After` header asks for: seconds, or a date (RFC 9110, section 10.2.3).

        A date that has passed means at once. A header that is missing (None) or says neither means
        `default` seconds: a server's bad header is no failure of the item. Dates are read against this
        machine's clock.
        """
        seconds = seconds_asked(value)
        return cls(default if seconds is None else seconds)
