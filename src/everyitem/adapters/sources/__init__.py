"""Item sources: one module per kind, opened by name and imported when asked for."""

from importlib import import_module

from everyitem.ports.source import ItemSource, SourceOpener, SourceSpec, SourceUnavailable

#: `module:class` of each kind below this package.
_KINDS = {
    "jsonl": "jsonl_source:JsonLinesSource",
    "csv": "csv_source:CsvSource",
    "parquet": "parquet_source:ParquetSource",
    "sql": "sql_source:SqlSource",
    "directory": "directory_source:DirectorySource",
    "http": "http_source:HttpSource",
    "cyoda-search": "cyoda_source:CyodaSearchSource",
    "cyoda-entities": "cyoda_source:CyodaEntitiesSource",
}


def open_source(spec: SourceSpec) -> ItemSource:
    """The source a document or `--items` asks for.

    Raises `SourceUnavailable` when the kind is unknown, what it takes is not set up or not installed, or
    the file is missing, unreadable or not a regular file.
    """
    try:
        module, _, name = _KINDS[spec.kind].partition(":")
    except KeyError:
        raise SourceUnavailable(
            f"item source kind {spec.kind!r} is not available; use {', '.join(_KINDS)}"
        ) from None
    opener: SourceOpener = getattr(import_module(f"{__name__}.{module}"), name)
    return opener(spec)
