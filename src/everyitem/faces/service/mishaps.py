"""What goes wrong with single batches while a service looks after all of them."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from everyitem.model.errors import IllegalMove, OwnershipLost, StoreDamaged, StoreError
from everyitem.ports.queue import Ticket

_log = logging.getLogger("everyitem.service")

#: Errors of the store that are about one execution; any other one is about all of them.
_OF_ONE: Final = (StoreDamaged, OwnershipLost, IllegalMove)


class Mishaps:
    """Keeps what is wrong with one batch from all others, and says it once."""

    def __init__(self) -> None:
        #: As it was said last, by execution.
        self._said: dict[int, str] = {}

    @contextmanager
    def apart(self, ticket: Ticket) -> Iterator[None]:
        """Do something for a batch. Raises `StoreError` when the store is out of reach."""
        try:
            yield
        except StoreError as error:
            if not isinstance(error, _OF_ONE):
                raise
            self._say(ticket, str(error))
        except Exception as error:
            if self._say(ticket, repr(error)):
                _log.exception("the dispatcher failed at batch %r; it goes on", ticket.batch_id)

    def forget(self, key: int) -> None:
        """The batch is gone."""
        self._said.pop(key, None)

    def _say(self, ticket: Ticket, text: str) -> bool:
        """Whether that is new."""
        is_new = self._said.get(ticket.execution_key) != text
        if is_new:
            self._said[ticket.execution_key] = text
            _log.warning("batch %r: %s", ticket.batch_id, text)
        return is_new
