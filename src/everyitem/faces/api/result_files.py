"""Results as JSON lines, CSV or Parquet."""

import csv
import io
import logging
from collections.abc import Iterable, Iterator
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from everyitem.faces.api.files import check_writable, keep_apart, write_whole
from everyitem.faces.api.views import ItemResult
from everyitem.model.errors import EveryitemError, UsageError

if TYPE_CHECKING:
    from everyitem.faces.api.response import Response

_log = logging.getLogger("everyitem")

CSV_COLUMNS = (
    "itemId", "index", "status", "attempts", "durationMs", "result", "errorCode", "errorType", "errorMessage",
)  # fmt: skip

#: Rows of one row group, held in memory while it is made.
_GROUP_ROWS = 8192

#: A spreadsheet takes cells that begin like this for formulas (OWASP, "CSV Injection").
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def check_results_file(path: Path | None) -> None:
    """Find out before the work begins that results could not be written there.

    Raises:
        UsageError: the folder cannot be written, or the name asks for parquet and pyarrow is not installed.
    """
    if path is not None and path.suffix == ".parquet":
        check_parquet()
    check_writable(path)


def check_parquet() -> None:
    """Raises `UsageError` where pyarrow, which writes parquet, is not installed."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise UsageError(
            f"parquet needs pyarrow ({error}); install it with `pip install 'everyitem[parquet]'`"
        ) from None


def write_results(path: Path, results: Iterable[ItemResult]) -> None:
    """A file of results: CSV for `*.csv`, Parquet for `*.parquet`, else JSON lines.

    Raises `UsageError` when it cannot be written.
    """
    write_whole(path, result_parts(results, path.suffix.removeprefix(".")))


def check_outputs(
    out: str | PathLike[str] | None, results: str | PathLike[str] | None, *, reads: Iterable[object]
) -> None:
    """Refuse files that could not be written, or are read, before the work begins. Raises `UsageError`."""
    check_writable(None if out is None else Path(out))
    check_results_file(None if results is None else Path(results))
    keep_apart((out, results), reads)


def write_outputs(
    response: "Response", out: str | PathLike[str] | None, results: str | PathLike[str] | None
) -> tuple[str, ...]:
    """Write the response and its results where the caller wants them; returns what went wrong.

    The batch is over and recorded by then, so a full disk must not keep its response from the caller.
    """
    problems = []
    try:
        if out is not None:
            write_whole(Path(out), [response.to_json().encode("utf-8"), b"\n"])
        if results is not None:
            write_results(Path(results), response.results())
    except EveryitemError as error:
        _log.warning("%s", error)
        problems.append(str(error))
    return tuple(problems)


def result_parts(results: Iterable[ItemResult], kind: str) -> Iterator[bytes]:
    """The content of a results file, piece by piece, in item order; `csv`, `parquet`, else JSON lines."""
    if kind == "csv":
        return _csv_parts(results)
    if kind == "parquet":
        return _parquet_parts(results)
    return (line for result in results for line in (result.to_json(), b"\n"))


def _parquet_parts(results: Iterable[ItemResult]) -> Iterator[bytes]:
    """The columns of the CSV file, typed; the result as JSON text, as items of a batch are of any form."""
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    text, number = pyarrow.string(), pyarrow.int64()
    kinds = (text, number, text, number, pyarrow.float64(), text, text, text, text)
    schema = pyarrow.schema(list(zip(CSV_COLUMNS, kinds, strict=True)))
    pieces = io.BytesIO()
    remaining = iter(results)
    with ParquetWriter(_Appending(pieces), schema, compression="zstd") as writer:
        while group := [_cells(result) for result in islice(remaining, _GROUP_ROWS)]:
            columns = list(zip(*group, strict=True))
            writer.write_table(pyarrow.table([list(column) for column in columns], schema=schema))
            yield _drained(pieces)
    yield _drained(pieces)


class _Appending(io.RawIOBase):
    """A file one can only append to: what was written is taken away, and its position goes on."""

    def __init__(self, pieces: io.BytesIO) -> None:
        self._pieces, self._position = pieces, 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._pieces.write(data)
        self._position += len(data)
        return len(data)

    def tell(self) -> int:
        return self._position


def _drained(pieces: io.BytesIO) -> bytes:
    content = pieces.getvalue()
    pieces.seek(0)
    pieces.truncate()
    return content


def _cells(result: ItemResult) -> tuple[object, ...]:
    """What an outcome has in each column; None where it has nothing there."""
    error = result.error or None
    return (
        result.item_id,
        result.index,
        result.status,
        result.attempts,
        result.duration_ms,
        # JSON text: numbers stay numbers, texts keep their quotes
        bytes(result.result_json).decode("utf-8") if result.succeeded and result.result_json else None,
        error.code if error else None,
        error.type if error else None,
        error.message if error else None,
    )


def _csv_parts(results: Iterable[ItemResult]) -> Iterator[bytes]:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)  # RFC 4180, whose line ends also make a lone \r in a message quoted
    writer.writerow(CSV_COLUMNS)
    for result in results:
        writer.writerow(_row(result))
        if buffer.tell() > 1 << 16:
            yield _take(buffer)
    yield _take(buffer)


def _row(result: ItemResult) -> tuple[object, ...]:
    """The cells as a spreadsheet takes them. JSON text, the result, can be no formula."""
    item_id, *plain, result_text, code, kind, message = _cells(result)
    texts = (neutral(str(item_id)), neutral(str(kind or "")), neutral(str(message or "")))
    return (texts[0], *plain, result_text or "", code or "", *texts[1:])


def neutral(cell: str) -> str:
    """A cell no spreadsheet takes for a formula: suspicious ones get a leading apostrophe."""
    return f"'{cell}" if cell.startswith(_FORMULA_STARTS) else cell


def _take(buffer: io.StringIO) -> bytes:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text.encode("utf-8")
