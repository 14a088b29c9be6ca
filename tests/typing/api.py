"""The public API as a type checker sees it: checked, never run."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, assert_type

import everyitem
from everyitem import (
    ItemContext,
    ItemResult,
    PermanentItemError,
    ProcessingBatch,
    Response,
    RetryLater,
    Session,
    Snapshot,
    chunk_processor,
    item_processor,
)
from everyitem.testing import FakeClock, InlineRun, flaky, run_inline


@item_processor("plain")
def plain(item: dict[str, Any], context: ItemContext) -> dict[str, int]:
    """A decorated function keeps its type."""
    if context.attempt > 3:
        raise PermanentItemError("enough")
    if context.cancelled:
        raise RetryLater(5)
    if context.attempt > 2:
        raise RetryLater.from_header(None, default=2)
    return {"index": context.index}


@item_processor("coroutine", setup=lambda: None, decimals=True)
async def coroutine(item: dict[str, Any], context: ItemContext) -> str:
    """So does a coroutine function."""
    return context.item_id


@chunk_processor("chunk", size=100)
def chunk(items: list[int], context: ItemContext) -> list[int]:
    """And a chunk processor."""
    return [item * 2 for item in items]


def show(snapshot: Snapshot) -> None:
    """A progress listener."""
    assert_type(snapshot.eta_seconds, float | None)


assert_type(plain({}, ItemContext.__new__(ItemContext)), dict[str, int])


def runs(batch: ProcessingBatch) -> None:
    """Every form of a batch, every option."""
    response = everyitem.run("batch.json")
    assert_type(response, Response)
    everyitem.run(Path("batch.json"), store="sqlite:///b.db", processors=["a.py", "module"], nodes="process")
    everyitem.run(b"{}", parallelism=4, checkpoint_interval=10, max_retries=0, timeout_hours=0.5, rerun=True)
    everyitem.run({"batchId": "b"}, on_progress=show, items="items.jsonl", config="everyitem.toml")
    everyitem.run(batch, switch=everyitem.Switch())
    everyitem.run("batch.json", paralelism=4)  # type: ignore[call-arg]
    everyitem.run("batch.json", nodes="dask")  # type: ignore[arg-type]
    assert_type(response.items_failed, int | None)
    assert_type(response.results(), Iterator[ItemResult])
    assert_type(asyncio.run(everyitem.run_async("batch.json")), Response)


def session() -> None:
    """A session has a method per command."""
    with everyitem.open() as opened:
        assert_type(opened, Session)
        assert_type(opened.redrive("b", error="timeout", items={"t-1": {"itemId": "t-1"}}), Response)
        for failed in opened.failures("b"):
            assert_type(failed.error.message, str)


def kit() -> None:
    """The testing kit."""
    run = run_inline(flaky(plain, failures=2), [{}], parameters={"a": 1}, clock=FakeClock())
    assert_type(run, InlineRun)
