"""Delivering the results of single items, between the end of a batch and the answer to the platform.

The platform itself tells what was delivered before: nothing of it is remembered here. A member that dies in
between is followed by one that asks, and writes what is missing.
"""

import logging
import threading
from collections.abc import Callable
from typing import Any

from everyitem.faces.api.response import Response
from everyitem.faces.api.session import Session
from everyitem.faces.api.views import Status
from everyitem.faces.cyoda.messages import Request, printable
from everyitem.faces.cyoda.refusal import Refusal
from everyitem.model.errors import UsageError
from everyitem.ports.sink import Delivery, DeliveryStopped, ResultSink, SinkAway, SinkUnfit

_log = logging.getLogger("everyitem")

#: Characters of a refusal in the entity.
_TEXT = 300


class Delivering:
    """Delivers the results of one member's batches. Every call may come from a thread of its own."""

    def __init__(self, open_sink: Callable[[], ResultSink | None]) -> None:
        self._open = open_sink
        #: Once set nothing more is written.
        self.stop = threading.Event()

    def check(self, source_kind: str) -> None:
        """Refuse a batch whose results could not be delivered, before anything runs. Raises `Refusal`."""
        sink = self._opened()
        if sink is None:
            return
        try:
            for oddity in sink.check(source_kind):
                _log.warning("%s", oddity)
        except SinkUnfit as unfit:
            raise Refusal("RESULTS_UNFIT", str(unfit), retryable=False) from None
        except SinkAway as away:
            raise Refusal("RESULTS_AWAY", str(away), retryable=True) from None
        finally:
            sink.close()

    def deliver(
        self, session: Session, status: Status | None, response: Response, request: Request
    ) -> Delivery | None:
        """Deliver what is missing of a batch that has ended; None where results stay in the store.

        Raises `Refusal`: ask again, and what is missing then follows.
        """
        sink = None if status is None else self._opened()
        if sink is None or status is None:
            return None
        delivery = Delivery(
            identity=status.batch_id,
            execution=status.execution,
            item_count=status.items,
            anchor=request.entity_id,
            # with more runs or rounds an earlier end may have delivered something, or died doing it
            is_first=response.fresh and status.runs == status.round == 1,
        )
        try:
            sink.deliver(delivery, session.outcomes(status.batch_id), self.stop)
        except DeliveryStopped as stopped:
            raise Refusal("MEMBER_STOPPING", str(stopped), retryable=True) from None
        except SinkAway as away:
            raise Refusal("RESULTS_AWAY", str(away), retryable=True) from None
        except SinkUnfit as unfit:
            raise Refusal("RESULTS_UNFIT", str(unfit), retryable=False) from None
        except UsageError as pruned:
            raise Refusal("RESULTS_GONE", str(pruned), retryable=False) from None
        finally:
            sink.close()
        for refusal in delivery.refusals:
            _log.error("a result of batch %r was not delivered: %s", status.batch_id, refusal)
        return delivery

    def _opened(self) -> ResultSink | None:
        try:
            return self._open()
        except UsageError as unusable:
            raise Refusal("RESULTS_UNFIT", str(unusable), retryable=False) from None


def told(delivery: Delivery) -> dict[str, Any]:
    """What the entity says of a delivery: every outcome is counted once."""
    counts = {
        "written": delivery.written,
        "writtenBefore": delivery.known,
        "leftAlone": delivery.left_alone,
        "refused": delivery.refused,
    }
    return counts | {"refusals": [printable(text, _TEXT) for text in delivery.refusals]}
