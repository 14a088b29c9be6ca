"""A directory: one item per file, in the order of their names; the item says where the file is."""

import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

from everyitem.adapters.sources.regular_file import source_path
from everyitem.ports.source import SourceChunk, SourceMisdescribed, SourceSpec, SourceUnavailable

#: Files handed over together.
_CHUNK_FILES = 1024


class DirectorySource:
    """The regular files of a folder as `{"itemId", "path", "bytes", "modifiedAt"}`.

    Options: `pattern` for names (`*.csv`; all by default) and `recursive` (false by default). The id is the
    path below the folder. Links are not followed, and files whose names begin with a dot left out.
    """

    def __init__(self, spec: SourceSpec) -> None:
        """Raises `SourceUnavailable` when there is no such folder, or an option cannot be used."""
        self._folder = source_path(spec)
        self.name = self._folder.name or os.fspath(self._folder)
        self._pattern = spec.options.get("pattern", "*")
        self._recursive = spec.options.get("recursive", False)
        if not isinstance(self._pattern, str) or not self._pattern:
            raise SourceMisdescribed("pattern", "must be a text like *.csv")
        if not isinstance(self._recursive, bool):
            raise SourceMisdescribed("recursive", "must be true or false")
        if not self._folder.is_dir():
            raise SourceUnavailable(f"{self._folder}: no such folder")

    def chunks(self) -> Iterator[SourceChunk]:
        # in full first: in which order a system lists files is its own business, and must not matter
        found = sorted(self._files(self._folder))
        for first in range(0, len(found), _CHUNK_FILES):
            some = found[first : first + _CHUNK_FILES]
            yield SourceChunk(
                [self._item(relative) for relative in some],
                list(range(first + 1, first + 1 + len(some))),
            )

    def _files(self, folder: Path) -> Iterator[str]:
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        if self._recursive:
                            yield from self._files(Path(entry.path))
                    elif entry.is_file(follow_symlinks=False) and fnmatchcase(entry.name, self._pattern):
                        yield os.path.relpath(entry.path, self._folder)
        except OSError as error:
            raise SourceUnavailable(f"{folder}: {error.strerror}") from None

    def _item(self, relative: str) -> bytes:
        path = self._folder / relative
        try:
            status = path.stat(follow_symlinks=False)
        except OSError as error:
            raise SourceUnavailable(f"{path}: {error.strerror}") from None
        if not stat.S_ISREG(status.st_mode):
            raise SourceUnavailable(f"{path}: it was replaced while it was looked at")
        return msgspec.json.encode(
            {
                # bytes that are no UTF-8 cannot stand in JSON; the intake refuses what is left of them
                "itemId": relative,
                "path": os.fspath(path.absolute()),
                "bytes": status.st_size,
                "modifiedAt": datetime.fromtimestamp(status.st_mtime, UTC),
            }
        )
