"""Item sources: one module per kind, opened by name."""

from collections.abc import Callable

from everyitem.adapters.sources.csv_source import CsvSource
from everyitem.adapters.sources.jsonl_source import JsonLinesSource
from everyitem.ports.source import ItemSource, SourceSpec, SourceUnavailable

_KINDS: dict[str, Callable[[SourceSpec], ItemSource]] = {"jsonl": JsonLinesSource, "csv": CsvSource}


def open_source(spec: SourceSpec) -> ItemSource:
    """The source a document or `--items` asks for.

    Raises `SourceUnavailable` when the kind is unknown, the file missing, unreadable or not a regular file.
    """
    try:
        kind = _KINDS[spec.kind]
    except KeyError:
        raise SourceUnavailable(
            f"item source kind {spec.kind!r} is not available; use {' or '.join(_KINDS)}"
        ) from None
    return kind(spec)
