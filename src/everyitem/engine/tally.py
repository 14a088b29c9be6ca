"""The tally of final failures: how many there are in this run, why, and whether they are too many.

Pure. A resume counts towards the limit afresh, so a tally is one run's.
"""

from everyitem.engine.messages import Ending, Verdict
from everyitem.model.causes import cause_of
from everyitem.model.configuration import ErrorStrategy, ProcessingConfiguration
from everyitem.model.errors import ErrorCode, Problem
from everyitem.model.outcome import Failure

#: Final failures a verdict lists; the response lists no more (contract section 2).
MOST_CAUSES = 1001
#: Kinds of failure told apart for displays.
MOST_KINDS = 100


class FailureTally:
    """Counts final failures and holds them against what is tolerated."""

    def __init__(self, configuration: ProcessingConfiguration, *, items: int) -> None:
        self._strategy = configuration.strategy
        #: How many may fail for good; None where any number may.
        self.tolerated = configuration.tolerated_failures(items)
        self._stops = configuration.stops_on_failures and self.tolerated is not None
        self.count = 0
        #: How often each kind of failure occurred, by `type: first line of the message`.
        self.by_cause: dict[str, int] = {}
        self._causes: list[Problem] = []

    def is_decided(self) -> bool:
        """More have failed than may, and that ends the batch."""
        return self._stops and self.count > (self.tolerated or 0)

    def add(self, failure: Failure) -> None:
        """Count one item that failed for good."""
        self.count += 1
        cause = cause_of(failure.type, failure.message)
        if cause in self.by_cause or len(self.by_cause) < MOST_KINDS:
            self.by_cause[cause] = self.by_cause.get(cause, 0) + 1
        if self._stops and len(self._causes) < MOST_CAUSES:
            path = f"$.batchItems[{failure.index}]"
            self._causes.append(Problem(path, f"{failure.type}: {failure.message}", ErrorCode.ITEM_ERROR))

    def verdict(self) -> Verdict:
        """The ending the failures lead to, listing them."""
        causes = tuple(self._causes)
        if self._strategy is ErrorStrategy.FAIL_FAST:
            text = "stopped at the first item that failed for good"
            return Verdict(Ending.FAILED_FAST, text, ErrorCode.ITEM_ERROR, causes)
        failed = "1 item has" if self.count == 1 else f"{self.count:,} items have"
        text = f"stopped: {failed} failed for good, and no more than {self.tolerated:,} may"
        return Verdict(Ending.TOLERANCE_EXCEEDED, text, ErrorCode.ITEM_ERROR, causes)
