"""Control totals of a run: a balance that every checkpoint moves, as an entry moves an account.

Pure. The balance begins with what is summed from the items and the durable ledger. What the outcomes of a
segment add stands in the segment itself, so it is part of the chain and can be derived again.
"""

from collections.abc import Mapping, Sequence
from typing import Self

from everyitem.model.items import Items
from everyitem.model.totals import Amount, Balance, derive
from everyitem.ports.checkpoint import SegmentDraft


class RunningTotals:
    """Where the control totals of an execution stand; without any, it costs nothing."""

    def __init__(self, items: Items, balances: Mapping[str, Balance]) -> None:
        self._items = items
        self._amounts = [Amount(name) for name in balances]
        #: As of the last segment that was recorded, by name.
        self.balances: Mapping[str, Balance] = balances

    @classmethod
    def begin(cls, names: Sequence[str], items: Items, ledger: bytes | bytearray) -> Self:
        """The totals a run begins with, summed in one pass over the items; `ledger` is what is durable."""
        return cls(items, {name: derive(name, items, ledger).balance for name in names})

    def record(self, segment: SegmentDraft) -> None:
        """Note in a segment what its outcomes add, and move the balances by it."""
        if not self._amounts:
            return
        segment.totals = {
            amount.name: amount.recorded(self._items, segment.successes, segment.failures)
            for amount in self._amounts
        }
        self.balances = {
            name: balance.recording(*segment.totals[name]) for name, balance in self.balances.items()
        }
