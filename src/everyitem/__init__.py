"""everyitem: batch execution where every item is accounted for.

Names are loaded when first used, so that `import everyitem` costs next to nothing, also in workers.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # Write item processors
    # Execute
    from everyitem.compose import Switch as Switch
    from everyitem.engine.progress import Snapshot as Snapshot
    from everyitem.faces.api.executing import ExecutionInterrupted as ExecutionInterrupted
    from everyitem.faces.api.explanation import Explanation as Explanation

    # What comes back
    from everyitem.faces.api.response import Response as Response
    from everyitem.faces.api.running import open as open  # noqa: A004 - the contract's name
    from everyitem.faces.api.running import run as run
    from everyitem.faces.api.running import run_async as run_async
    from everyitem.faces.api.session import Session as Session
    from everyitem.faces.api.views import Failed as Failed
    from everyitem.faces.api.views import ItemResult as ItemResult
    from everyitem.faces.api.views import Status as Status
    from everyitem.faces.http.client import Client as Client
    from everyitem.faces.http.client import connect as connect
    from everyitem.model.batch import ProcessingBatch as ProcessingBatch
    from everyitem.model.deferral import Deferred as Deferred
    from everyitem.model.errors import DocumentRefused as DocumentRefused
    from everyitem.model.errors import ErrorCode as ErrorCode
    from everyitem.model.errors import EveryitemError as EveryitemError
    from everyitem.model.errors import PermanentItemError as PermanentItemError
    from everyitem.model.errors import RetryLater as RetryLater
    from everyitem.model.errors import UsageError as UsageError
    from everyitem.work.context import ItemContext as ItemContext
    from everyitem.work.processors import chunk_processor as chunk_processor
    from everyitem.work.processors import item_processor as item_processor

#: Public name -> module that has it, by what it is for.
_WHERE = {
    # write item processors
    "item_processor": "work.processors",
    "chunk_processor": "work.processors",
    "ItemContext": "work.context",
    "PermanentItemError": "model.errors",
    "RetryLater": "model.errors",
    "Deferred": "model.deferral",
    # execute batches
    "run": "faces.api.running",
    "run_async": "faces.api.running",
    "open": "faces.api.running",
    "Session": "faces.api.session",
    "connect": "faces.http.client",
    "Client": "faces.http.client",
    "ProcessingBatch": "model.batch",
    "Switch": "compose",
    # read what comes back
    "Response": "faces.api.response",
    "ItemResult": "faces.api.views",
    "Failed": "faces.api.views",
    "Status": "faces.api.views",
    "Explanation": "faces.api.explanation",
    "Snapshot": "engine.progress",
    # errors
    "EveryitemError": "model.errors",
    "UsageError": "model.errors",
    "DocumentRefused": "model.errors",
    "ExecutionInterrupted": "faces.api.executing",
    "ErrorCode": "model.errors",
}

__all__ = list(_WHERE)


def __getattr__(name: str) -> object:
    where = _WHERE.get(name)
    if where is None:
        raise AttributeError(f"module 'everyitem' has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f"everyitem.{where}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_WHERE])
