"""JSON Lines: one item per line; blank lines are skipped, and a byte order mark at the start."""

from collections.abc import Iterator

from everyitem.adapters.sources.regular_file import foreign_encoding, open_regular, skip_mark, source_path
from everyitem.ports.source import SourceChunk, SourceFault, SourceSpec

#: Bytes of lines handed over together.
_CHUNK_BYTES = 1 << 18


class JsonLinesSource:
    """The lines of one file; their JSON is checked where all items are checked."""

    def __init__(self, spec: SourceSpec) -> None:
        """Raises `SourceUnavailable` when the file cannot be opened."""
        self._path = source_path(spec)
        self.name = self._path.name
        open_regular(self._path).close()

    def chunks(self) -> Iterator[SourceChunk]:
        number = 0
        with open_regular(self._path) as file:
            if encoding := foreign_encoding(file):
                yield SourceChunk([], [], [SourceFault(1, f"is {encoding} text; item files must be UTF-8")])
                return
            skip_mark(file)
            while lines := file.readlines(_CHUNK_BYTES):
                texts = [line.strip(b" \t\r\n") for line in lines]
                numbers = [number + position for position, text in enumerate(texts, start=1) if text]
                number += len(lines)
                yield SourceChunk([text for text in texts if text], numbers)
