"""Item failures in the log: they never stop a batch, and a storm of them never floods the log."""

import logging
import time
from collections.abc import Callable, Sequence

from everyitem.engine.storms import Storms, Summary
from everyitem.model.status import ExecutionStatus
from everyitem.model.trace import trace_id_of
from everyitem.model.wording import many
from everyitem.ports.observer import NoObserver, RunView, Vitals
from everyitem.ports.outcome import FailedItem

#: A logger of its own, so that an application can tell them from what everyitem itself has to say.
_log = logging.getLogger("everyitem.items")


class ItemLog(NoObserver):
    """Logs items that failed for good, once that is recorded."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._storms = Storms()
        self._batch: dict[str, object] = {}

    def began(self, run: RunView) -> None:
        self._batch = {"batchId": run.batch_id, "execution": run.execution}
        if run.traceparent:
            self._batch["traceId"] = trace_id_of(run.traceparent)

    def failed(self, failures: Sequence[FailedItem]) -> None:
        for failure in self._storms.take(failures, self._clock()):
            self._tell(failure)

    def looked(self, at: float, vitals: Vitals) -> None:
        for summary in self._storms.summaries(self._clock()):
            self._sum_up(summary)

    def ended(self, status: ExecutionStatus, code: str, message: str) -> None:
        for summary in self._storms.summaries(self._clock(), is_end=True):
            self._sum_up(summary)

    def _tell(self, failure: FailedItem) -> None:
        error = {"code": failure.code, "type": failure.type, "message": failure.message}
        _log.warning(
            "item %s failed for good at attempt %d: %s: %s",
            failure.item_id,
            failure.attempts,
            failure.type,
            failure.message,
            extra={
                "fields": {
                    **self._batch,
                    "itemId": failure.item_id,
                    "index": failure.index,
                    "attempts": failure.attempts,
                    "error": error,
                }
            },
        )

    def _sum_up(self, summary: Summary) -> None:
        _log.warning(
            "%s failed within %.0f s as others before (%s), from item %s to item %s",
            many(summary.count, "more item"),
            summary.seconds,
            summary.cause,
            summary.first.item_id,
            summary.last.item_id,
            extra={"fields": {**self._batch, "cause": summary.cause, "count": summary.count}},
        )
