"""Where the results of single items go, beside the store: the port all result sinks share."""

import threading
from collections.abc import Iterator
from typing import Protocol

import msgspec

from everyitem.model.errors import ErrorCode, EveryitemError
from everyitem.ports.outcome import Outcome

#: Refusals that are told word for word; all of them are counted.
MOST_TOLD = 25


class SinkUnfit(EveryitemError):
    """Results cannot go there as things are set up; says what to do. Found out before anything runs."""

    code = ErrorCode.RESOURCE_ERROR


class SinkAway(EveryitemError):
    """Whoever takes results does not answer; what is missing is delivered when one asks again."""

    code = ErrorCode.RESOURCE_ERROR


class DeliveryStopped(EveryitemError):
    """This process ends; what is missing is delivered when one asks again."""

    code = ErrorCode.SYSTEM_ERROR


class Delivery(msgspec.Struct, kw_only=True):
    """Whose results they are, and what has become of each: every outcome is counted in one of these."""

    #: The batch's identity, and which of its executions.
    identity: str
    execution: int
    item_count: int
    #: The entity the batch stands in; it is never written.
    anchor: str
    #: Nobody can have delivered anything of it before.
    is_first: bool = False

    written: int = 0
    #: Were there already, from a delivery that was cut short.
    known: int = 0
    #: Nothing was to be written: no transition is set up for how the item ended, or it is the anchor itself.
    left_alone: int = 0
    #: Whoever takes results does not want these; the first of them say why.
    refused: int = 0
    refusals: list[str] = []

    def key(self, outcome: Outcome) -> str:
        """Names one outcome for good: a redrive gives an item another one, nothing else does."""
        return f"{self.identity}@{self.execution}.{outcome.round}/{outcome.index}"

    def refuse(self, outcome: Outcome, reason: str) -> None:
        """Count an outcome nobody wants."""
        self.refused += 1
        if len(self.refusals) < MOST_TOLD:
            self.refusals.append(f"item {outcome.item_id!r}: {reason}")


class ResultSink(Protocol):
    """Takes the results of single items. One call at a time."""

    def check(self, source_kind: str) -> list[str]:
        """Whether results of items from such a source could be delivered now; what is odd about it.

        Raises `SinkUnfit` and `SinkAway`.
        """
        ...

    def deliver(self, delivery: Delivery, outcomes: Iterator[Outcome], stop: threading.Event) -> None:
        """Deliver what is not there yet, each outcome under its key, and count it in `delivery`.

        Raises `SinkAway`, and `DeliveryStopped` once `stop` is set; may be called again after either. Raises
        `SinkUnfit` for what `check` could not see.
        """
        ...

    def close(self) -> None:
        """Free the connections."""
        ...
