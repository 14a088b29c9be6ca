"""Items in doubt (at-most-once): those that may have been called and whose outcome will not come.

Pure. An item in doubt never runs again by itself; it waits for a person's decision, which nothing but the
doubt itself can overrule.
"""

from collections.abc import Iterable

from msgspec.structs import replace

from everyitem.engine.ledger import Ledger, Mark
from everyitem.engine.messages import Ending, Verdict
from everyitem.engine.recorder import Recorder
from everyitem.engine.settling import settled_failure, settled_success
from everyitem.model.errors import ErrorCode
from everyitem.ports.doubt import LEFT_BEHIND, Decision, Intent, Settlement


class Doubts:
    """Which items are in doubt in this run, and why."""

    def __init__(self, ledger: Ledger, recorder: Recorder) -> None:
        self._ledger = ledger
        self._recorder = recorder
        self._by_index: dict[int, Intent] = {}

    def add(self, index: int, attempt: int, reason: str, *, known: bool = False) -> None:
        """The item may have been called, and its outcome will not come; `known`: the store knows."""
        self._ledger.doubt(index)
        self._by_index[index] = doubt = Intent(index, attempt, reason)
        if not known:
            self._recorder.intend([doubt])

    def found(self, intents: Iterable[Intent]) -> None:
        """Take over the intents an earlier run left behind, as far as their items are open."""
        for one in intents:
            if self._ledger.mark(one.index) == Mark.OPEN:
                self.add(one.index, one.attempt, one.doubt or LEFT_BEHIND, known=bool(one.doubt))

    def settle(self, asked: Settlement) -> Settlement | None:
        """Carry out a person's decision and record it, with the attempt and the doubt it was about.

        None where the item is not in doubt (any more). An item that may run again is left waiting.
        """
        doubt = self._by_index.pop(asked.index, None)
        if doubt is None:
            return None
        settlement = replace(asked, attempt=doubt.attempt, doubt=doubt.doubt)
        self._recorder.settled(settlement)
        match settlement.decision:
            case Decision.SUCCEEDED:
                self._ledger.settle(asked.index, Mark.SUCCEEDED)
                self._recorder.add_successes(settled_success(settlement))
            case Decision.FAILED:
                self._ledger.settle(asked.index, Mark.FAILED)
                self._recorder.add_failure(settled_failure(settlement))
            case Decision.AGAIN:
                self._ledger.settle(asked.index, Mark.WAITING)
        return settlement

    def verdict(self) -> Verdict:
        """The ending where only items in doubt are left."""
        count = len(self._by_index)
        items = "1 item is" if count == 1 else f"{count:,} items are"
        return Verdict(
            Ending.IN_DOUBT,
            f"{items} in doubt: the item processor may have been called and its outcome is unknown; "
            "settle each of them (everyitem settle), then resume",
            ErrorCode.SYSTEM_ERROR,
            doubts=tuple(self._by_index[index] for index in sorted(self._by_index)),
        )
