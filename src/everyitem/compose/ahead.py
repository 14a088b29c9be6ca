"""Importing ahead what a run is going to need, where there is time for it.

Elsewhere adapters are imported when a batch asks for them. A process in reserve does not know what its batch
will ask for, so this is what most batches do.
"""

from importlib import import_module
from typing import Final

_MODULES: Final = (
    "everyitem.adapters.nodes.memory_budget",
    "everyitem.adapters.nodes.process_node",
    "everyitem.adapters.nodes.thread_node",
    "everyitem.adapters.started",
    "everyitem.adapters.stores.sqlite.store",
    "everyitem.engine.execution",
)


def import_ahead() -> None:
    """Import them."""
    for name in _MODULES:
        import_module(name)
