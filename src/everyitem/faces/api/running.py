"""`run`, `run_async` and `open`: the front door for scripts and notebooks."""

import asyncio
from os import PathLike
from typing import Unpack

from everyitem.compose import Switch
from everyitem.faces.api.options import RunOptions, check_options
from everyitem.faces.api.reading import BatchInput
from everyitem.faces.api.response import Response
from everyitem.faces.api.session import Session


def open(  # noqa: A001 - `everyitem.open(store)` is the name of the contract
    store: str | PathLike[str] | None = None, *, config: str | PathLike[str] | None = None
) -> Session:
    """A session on a store (`sqlite:///PATH` or a path; the default store without one).

    Example:
        with everyitem.open("sqlite:///batches.db") as session:
            for failed in session.failures("eod-2026-11-20"):
                print(failed.item_id, failed.error.message)
    """
    return Session.connect(store, config=config)


def run(
    batch: BatchInput,
    *,
    store: str | PathLike[str] | None = None,
    config: str | PathLike[str] | None = None,
    items: str | PathLike[str] | None = None,
    rerun: bool = False,
    **options: Unpack[RunOptions],
) -> Response:
    """Execute a batch and return its response; an `ERROR` is returned, not raised.

    The same call again goes on where an interrupted execution stopped, and returns the recorded response of
    a finished one. Works in a notebook and inside a running event loop (which it blocks; see `run_async`).

    Args:
        batch: Path of a document (`-`: standard input), its bytes, a dict, or a `ProcessingBatch`.
        store: Where to keep the execution; default: EVERYITEM_STORE, else SQLite in your data directory.
        config: Configuration file; default: everyitem.toml in the working directory.
        items: A .jsonl, .csv or .parquet file that replaces the document's items.
        rerun: Start a new execution although there is one already.
        **options: `processors`, `nodes`, `parallelism`, `checkpoint_interval`, `max_retries`,
            `timeout_hours`, `out`, `results`, `on_progress`, `switch`; see `RunOptions`.

    Raises:
        UsageError: no such file or setting, or called by an item processor.
        TypeError: an argument nobody knows.
        ExecutionInterrupted: the given switch stopped it.
    """
    check_options(options, "store", "config", "items", "rerun")
    with Session.connect(store, config=config) as session:
        return session.run(batch, items=items, rerun=rerun, **options)


async def run_async(
    batch: BatchInput,
    *,
    store: str | PathLike[str] | None = None,
    config: str | PathLike[str] | None = None,
    items: str | PathLike[str] | None = None,
    rerun: bool = False,
    **options: Unpack[RunOptions],
) -> Response:
    """`run` without blocking the event loop.

    Cancelling the awaiting task stops the execution in good order (drain, checkpoint) before
    `CancelledError` goes on its way; the same call resumes it.
    """
    switch = options.setdefault("switch", Switch())
    execution = asyncio.ensure_future(
        asyncio.to_thread(run, batch, store=store, config=config, items=items, rerun=rerun, **options)
    )
    try:
        return await asyncio.shield(execution)
    except asyncio.CancelledError:
        switch.stop("the awaiting task was cancelled")
        await asyncio.wait([execution])
        execution.exception()  # ExecutionInterrupted, expected: the cancellation says it all
        raise
