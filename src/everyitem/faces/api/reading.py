"""From what a caller has (a path, bytes, a dict, a stored execution) to a batch under this call's options."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from everyitem import compose
from everyitem.faces.api.options import RunOptions
from everyitem.model.batch import ProcessingBatch
from everyitem.model.errors import UnknownProcessor
from everyitem.model.items import Items
from everyitem.ports.execution import ExecutionRecord
from everyitem.ports.source import SourceOpener
from everyitem.settings import Settings
from everyitem.work.processors import find_processor, load_processors

if TYPE_CHECKING:
    # the package loads pydantic, which nobody needs who only looks at a store
    from everyitem.faces.documents import Overrides, ReadDocument

#: A batch as callers may hand it over. A `str` or path names a file, `-` is standard input.
BatchInput = str | PathLike[str] | bytes | Mapping[str, Any] | ProcessingBatch


def read(
    batch: BatchInput,
    *,
    settings: Settings,
    items: str | PathLike[str] | None,
    options: RunOptions,
    is_async: Callable[[str], bool] | None = None,
    open_source: SourceOpener = compose.open_source,
) -> "ReadDocument":
    """Read, check and complete a batch document.

    Raises:
        UsageError: no such file, or an option no batch can have.
        DocumentRefused: the document is not acceptable; carries all problems, a processor nobody
            registered among them.
    """
    from everyitem.faces.documents import read_document

    return read_document(
        batch,
        settings=settings,
        overrides=_overrides(options, items),
        is_async=is_async or processor_is_async,
        open_source=open_source,
    )


def rebuild(
    record: ExecutionRecord, items: Items, *, settings: Settings, options: RunOptions
) -> "ReadDocument":
    """The batch of a stored execution, under the settings in force now and this call's options.

    Raises:
        DocumentRefused: the operator's settings no longer allow it, or nobody registered its item
            processor.
    """
    from everyitem.faces.documents import restore_document

    document = restore_document(
        record.envelope,
        items,
        settings=settings,
        overrides=_overrides(options, None),
        recorded_settings=record.settings,
        is_async=processor_is_async,
    )
    # corrected items do not make it another batch: its content is what was accepted under its identity
    batch = replace(document.batch, content=record.content, known_as=record.batch_id)
    return replace(document, batch=batch)


def named_processors(
    given: Sequence[str | PathLike[str]] | str | PathLike[str],
) -> Sequence[str | PathLike[str]]:
    """FILE.py paths and module names; a single one needs no list."""
    return [given] if isinstance(given, str | PathLike) else given


def load_item_processors(given: Sequence[str | PathLike[str]] | str | PathLike[str]) -> None:
    """Register the item processors of FILE.py paths or module names.

    Raises:
        UsageError: one of them does not load.
    """
    for where in named_processors(given):
        if (here := str(Path.cwd())) not in sys.path:
            # modules of the working directory are found, and never shadow installed ones
            sys.path.append(here)
        load_processors(where)


def processor_is_async(name: str) -> bool:
    """Whether the item processor of this name is a coroutine function."""
    return find_processor(name).is_async


def processor_is_async_if_known(name: str) -> bool:
    """The same, taking an unknown one for a plain function (`plan` needs no processors)."""
    try:
        return processor_is_async(name)
    except UnknownProcessor:
        return False


def _overrides(options: RunOptions, items: str | PathLike[str] | None) -> "Overrides":
    from everyitem.faces.documents import Overrides

    return Overrides(
        parallelism=options.get("parallelism"),
        nodes=options.get("nodes"),
        checkpoint_interval=options.get("checkpoint_interval"),
        max_retries=options.get("max_retries"),
        timeout_hours=options.get("timeout_hours"),
        items=None if items is None else os.fspath(items),
    )
