"""CSV: a header row names the fields, every value is a string, a column `itemId` names the items."""

import csv
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from everyitem.adapters.sources.regular_file import foreign_encoding, open_regular, skip_mark, source_path
from everyitem.ports.source import SourceChunk, SourceFault, SourceMisdescribed, SourceSpec

#: Rows handed over together.
_CHUNK_ROWS: Final = 2048
#: Characters of the longest field: what an item may have in bytes, unless that was raised.
_LONGEST_FIELD: Final = 16 << 20


class CsvSource:
    """The rows of one file as JSON objects. Option `delimiter`: one character, a comma by default.

    Blank rows are skipped, and a byte order mark at the start.
    """

    def __init__(self, spec: SourceSpec) -> None:
        """Raises `SourceUnavailable` where the file cannot be opened, or the delimiter cannot be one."""
        self._path = source_path(spec)
        self.name = self._path.name
        self._delimiter = spec.options.get("delimiter", ",")
        if not (
            isinstance(self._delimiter, str) and len(self._delimiter) == 1 and self._delimiter not in '"\r\n'
        ):
            raise SourceMisdescribed("delimiter", "must be one character other than a quote or a line end")
        open_regular(self._path).close()

    def chunks(self) -> Iterator[SourceChunk]:
        with open_regular(self._path) as file:
            if encoding := foreign_encoding(file):
                yield SourceChunk([], [], [SourceFault(1, f"is {encoding} text; item files must be UTF-8")])
                return
            skip_mark(file)
            rows = _Rows(file, self._delimiter)
            try:
                yield from _chunks_of(rows)
            except UnicodeDecodeError as error:
                yield SourceChunk([], [], [SourceFault(rows.line + 1, _not_utf8(error))])
            except csv.Error as error:
                # where its row begins: a quote that is not closed there swallows what follows
                yield SourceChunk([], [], [SourceFault(rows.begins, _not_csv(error, rows.begins, rows.line))])


class _Rows:
    """Rows with the line each ends on."""

    def __init__(self, file: Iterable[bytes], delimiter: str) -> None:
        # of the whole process, and so never lowered
        csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_FIELD))
        self._reader = csv.reader(map(_decoded, file), delimiter=delimiter, strict=True)
        #: The line the row that is being read, or was read last, begins on.
        self.begins = 1

    @property
    def line(self) -> int:
        """Lines read so far."""
        return self._reader.line_num

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        for row in self._reader:
            yield self.line, row
            self.begins = self.line + 1


def _decoded(line: bytes) -> str:
    return line.decode("utf-8")


def _not_utf8(error: UnicodeDecodeError) -> str:
    return f"not UTF-8: byte 0x{error.object[error.start]:02x} at byte {error.start} of the line"


def _not_csv(error: csv.Error, begins: int, line: int) -> str:
    """What the reader says of the row that begins on one line, and was read up to another."""
    swallowed = f"; a quote that is opened here is not closed up to line {line}" if line > begins else ""
    return f"not valid CSV: {error}{swallowed}"


def _chunks_of(all_rows: Iterable[tuple[int, list[str]]]) -> Iterator[SourceChunk]:
    """Rows with the line each ends on, as chunks; the first row is the header."""
    rows = iter(all_rows)
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
            faults.append(SourceFault(number, f"{_fields(len(row))}, but the header names {len(header)}"))
        if len(texts) + len(faults) >= _CHUNK_ROWS:
            yield SourceChunk(texts, lines, faults)
            texts, lines, faults = [], [], []
    yield SourceChunk(texts, lines, faults)


def _fields(count: int) -> str:
    return "1 field" if count == 1 else f"{count} fields"


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
