"""Results as JSON lines or CSV."""

import csv
import io
import logging
from collections.abc import Iterable, Iterator
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from everyitem.faces.api.files import check_writable, write_whole
from everyitem.faces.api.views import ItemResult
from everyitem.model.errors import EveryitemError, UsageError

if TYPE_CHECKING:
    from everyitem.faces.api.response import Response

_log = logging.getLogger("everyitem")

CSV_COLUMNS = (
    "itemId", "index", "status", "attempts", "durationMs", "result", "errorCode", "errorType", "errorMessage",
)  # fmt: skip

NO_PARQUET = "this version writes no parquet; use csv or jsonl and convert it"

#: A spreadsheet takes cells that begin like this for formulas (OWASP, "CSV Injection").
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def check_results_file(path: Path | None) -> None:
    """Find out before the work begins that results could not be written there.

    Raises:
        UsageError: the folder cannot be written, or the name asks for a format this version does not know.
    """
    if path is not None and path.suffix == ".parquet":
        raise UsageError(f"{path}: {NO_PARQUET}")
    check_writable(path)


def write_results(path: Path, results: Iterable[ItemResult]) -> None:
    """A file of results, CSV for `*.csv`, else JSON lines. Raises `UsageError` when it cannot be written."""
    write_whole(path, result_parts(results, as_csv=path.suffix == ".csv"))


def check_outputs(out: str | PathLike[str] | None, results: str | PathLike[str] | None) -> None:
    """Refuse files that could not be written before the work begins. Raises `UsageError`."""
    check_writable(None if out is None else Path(out))
    check_results_file(None if results is None else Path(results))


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


def result_parts(results: Iterable[ItemResult], *, as_csv: bool) -> Iterator[bytes]:
    """The text of a results file, piece by piece, in item order."""
    return (
        _csv_parts(results) if as_csv else (line for result in results for line in (result.to_json(), b"\n"))
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
    error = result.error or None
    return (
        neutral(result.item_id),
        result.index,
        result.status,
        result.attempts,
        result.duration_ms,
        # JSON text: numbers stay numbers, texts keep their quotes, so no cell of it can be a formula
        bytes(result.result_json).decode("utf-8") if result.succeeded and result.result_json else "",
        error.code if error else "",
        neutral(error.type) if error else "",
        neutral(error.message) if error else "",
    )


def neutral(cell: str) -> str:
    """A cell no spreadsheet takes for a formula: suspicious ones get a leading apostrophe."""
    return f"'{cell}" if cell.startswith(_FORMULA_STARTS) else cell


def _take(buffer: io.StringIO) -> bytes:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text.encode("utf-8")
