"""CSV: a header row names the fields, every value is a string, a column `itemId` names the items."""

import csv
from collections.abc import Iterator

import msgspec

from everyitem.adapters.sources.regular_file import foreign_encoding, open_regular, skip_mark, source_path
from everyitem.ports.source import SourceChunk, SourceFault, SourceSpec, SourceUnavailable

#: Rows handed over together.
_CHUNK_ROWS = 2048


class CsvSource:
    """The rows of one file as JSON objects. Option `delimiter`: one character, a comma by default.

    Blank rows are skipped, and a byte order mark at the start.
    """

    def __init__(self, spec: SourceSpec) -> None:
        """Raises `SourceUnavailable` when the file cannot be opened or the delimiter is not one character."""
        self._path = source_path(spec)
        self.name = self._path.name
        self._delimiter = spec.options.get("delimiter", ",")
        if not (
            isinstance(self._delimiter, str) and len(self._delimiter) == 1 and self._delimiter not in '"\r\n'
        ):
            raise SourceUnavailable("delimiter must be one character other than a quote or a line end")
        open_regular(self._path).close()

    def chunks(self) -> Iterator[SourceChunk]:
        with open_regular(self._path) as file:
            if encoding := foreign_encoding(file):
                yield SourceChunk([], [], [SourceFault(1, f"is {encoding} text; item files must be UTF-8")])
                return
            skip_mark(file)
            rows = csv.reader(map(_decoded, file), delimiter=self._delimiter, strict=True)
            numbered = ((rows.line_num, row) for row in rows)
            try:
                yield from _chunks_of(numbered)
            except (csv.Error, UnicodeDecodeError) as error:
                yield SourceChunk([], [], [SourceFault(rows.line_num + 1, _reason(error))])


def _decoded(line: bytes) -> str:
    return line.decode("utf-8")


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8: byte 0x{error.object[error.start]:02x} at byte {error.start} of the line"
    return f"not valid CSV: {error}"


def _chunks_of(rows: Iterator[tuple[int, list[str]]]) -> Iterator[SourceChunk]:
    """Rows with the line each ends on, as chunks; the first row is the header."""
    _, header = next(rows, (1, []))
    faults = _header_faults(header)
    if faults:
        yield SourceChunk([], [], faults)
        return
    texts: list[bytes] = []
    lines: list[int] = []
    for number, row in rows:
        if len(row) == len(header):
            texts.append(msgspec.json.encode(dict(zip(header, row, strict=True))))
            lines.append(number)
        elif row:
            faults.append(SourceFault(number, f"{len(row)} fields, but the header names {len(header)}"))
        if len(texts) + len(faults) >= _CHUNK_ROWS:
            yield SourceChunk(texts, lines, faults)
            texts, lines, faults = [], [], []
    yield SourceChunk(texts, lines, faults)


def _header_faults(header: list[str]) -> list[SourceFault]:
    if not header:
        return [SourceFault(1, "no header row; the first row must name the fields")]
    faults = []
    for position, name in enumerate(header):
        if not name:
            faults.append(SourceFault(1, f"field {position + 1} of the header has no name"))
        elif name in header[:position]:
            faults.append(SourceFault(1, f"the header names {name!r} twice"))
    return faults
