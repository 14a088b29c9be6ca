"""Inside: whether the code that asks runs on behalf of an item, which must not run batches of its own.

It would hold its slot until they end, beyond all that was allocated, and wait for its own batch for ever.
"""

import os
from contextvars import ContextVar
from typing import Final

#: Set in the environment of worker processes, and so in whatever their items start.
WORKER_VARIABLE: Final = "EVERYITEM_WORKER"

#: Threads and tasks of nodes in this process; what a task starts inherits it.
_is_slot: ContextVar[bool] = ContextVar("everyitem-slot", default=False)


def enter() -> None:
    """The calling thread or task runs items from now on."""
    _is_slot.set(True)


def is_inside() -> bool:
    """Whether an item, or something it started, asks."""
    return _is_slot.get() or bool(os.environ.get(WORKER_VARIABLE))
