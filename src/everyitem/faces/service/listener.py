"""Events that come through a broker: taken in, and only then taken from the broker.

One comes again when this process dies in between; it is known then by its source and id. What is refused is
said and taken: it would be refused again. What cannot be taken in now (the store is away, the queue is full,
item processors do not load, a document's place does not answer) waits at the broker, and all behind it.
"""

import logging
import threading
from typing import Final

from everyitem.faces.api.incoming import Receipt, Taken
from everyitem.faces.documents.incoming import EventRefused
from everyitem.faces.service.inlet import Inlet
from everyitem.model.errors import EveryitemError
from everyitem.ports.subscription import BrokerAway, Message, Subscription

_log = logging.getLogger("everyitem.events")

#: Seconds messages are waited for at a time, and rested after something went wrong.
WAIT: Final = 1.0
REST: Final = 2.0


class Listener:
    """Takes events in from one subscription, on a thread of its own."""

    def __init__(self, subscription: Subscription, inlet: Inlet) -> None:
        self._subscription, self._inlet = subscription, inlet
        self._stop = threading.Event()
        self._trouble = ""
        self._thread = threading.Thread(target=self._live, name="everyitem-listener", daemon=True)

    def begin(self) -> None:
        """Listen from now on."""
        self._thread.start()

    def close(self) -> None:
        """Listen no more; what is under way is taken in first."""
        self._stop.set()
        self._thread.join(WAIT + REST)

    def _live(self) -> None:
        while not self._stop.is_set():
            try:
                for message in self._subscription.receive(WAIT):
                    if self._stop.is_set():
                        break
                    self._take_in(message)
                self._trouble = ""
            except (BrokerAway, EveryitemError) as error:
                self._tell(str(error))
                self._stop.wait(REST)
            except Exception:
                _log.exception("listening for events failed, and is tried again")
                self._stop.wait(REST)
        self._subscription.close()

    def _take_in(self, message: Message) -> None:
        try:
            receipts = self._inlet.push(message.body)
        except EventRefused as error:
            receipts = [Receipt(number=1, state=Taken.REFUSED, reason=str(error))]
        for receipt in receipts or [Receipt(number=1, state=Taken.REFUSED, reason="it is empty")]:
            if receipt.state is Taken.REFUSED:
                _log.warning("an event from the broker is refused: %s", receipt.reason)
        self._subscription.take(message)

    def _tell(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            _log.warning("events from the broker wait: %s", trouble)
