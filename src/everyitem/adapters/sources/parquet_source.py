"""Parquet: one item per row, the columns are its fields; a column `itemId` names the items."""

from collections.abc import Iterator

from everyitem.adapters.sources.regular_file import open_regular, source_path
from everyitem.adapters.sources.rows import chunk_of
from everyitem.ports.source import SourceChunk, SourceFault, SourceSpec, SourceUnavailable

#: Rows handed over together.
_CHUNK_ROWS = 1024


class ParquetSource:
    """The rows of one file as JSON objects; nulls, lists and structures as what they are in JSON."""

    def __init__(self, spec: SourceSpec) -> None:
        """Raises `SourceUnavailable` when the file cannot be opened, or pyarrow is not installed."""
        try:
            import pyarrow.parquet  # noqa: F401 - said now, not in the middle
        except ImportError as error:
            raise SourceUnavailable(
                f"parquet needs pyarrow ({error}); install it with `pip install 'everyitem[parquet]'`"
            ) from None
        self._path = source_path(spec)
        self.name = self._path.name
        open_regular(self._path).close()

    def chunks(self) -> Iterator[SourceChunk]:
        import pyarrow
        from pyarrow.parquet import ParquetFile

        row = 0
        try:
            with open_regular(self._path) as opened, ParquetFile(opened) as file:
                for batch in file.iter_batches(batch_size=_CHUNK_ROWS):
                    yield chunk_of(batch.to_pylist(), row)
                    row += batch.num_rows
        except (pyarrow.ArrowException, OSError) as error:
            reason = str(error).partition("\n")[0]
            yield SourceChunk([], [], [SourceFault(row + 1, f"not readable as parquet: {reason}")])
