"""What the processes of batches write to standard error: a file for each, of bounded length."""

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

#: Bytes a file may have before its older part is dropped, and what is kept then.
LONGEST: Final = 1 << 20
KEPT: Final = 1 << 18
#: Files of batches; the oldest go.
MOST_FILES: Final = 200


class Logs:
    """The folder of one service's logs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def beside(cls, data_directory: Path, store_url: str) -> "Logs":
        """The logs of the services of a store; its URL, which may hold a password, is not told."""
        digest = hashlib.sha256(store_url.encode()).hexdigest()[:16]
        return cls(data_directory / "logs" / digest)

    def open(self, execution_key: int) -> IO[bytes]:
        """The file of an execution, to append to."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._drop_oldest()
        descriptor = os.open(self._path(execution_key), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        return os.fdopen(descriptor, "ab", buffering=0)

    def trim(self, execution_key: int) -> None:
        """Drop the older part of a file that has grown too long, while its process goes on writing.

        What it writes in the very moment may be lost: that is better than to make it wait.
        """
        path = self._path(execution_key)
        with suppress(OSError):
            if path.stat().st_size <= LONGEST:
                return
            with path.open("r+b") as file:
                file.seek(-KEPT, os.SEEK_END)
                file.readline()
                kept = file.read()
                file.truncate(0)
                # it is opened for appending elsewhere, so both write at its end
                file.seek(0)
                file.write(kept)

    def read(self, execution_key: int) -> bytes:
        """The end of a file; empty when there is none."""
        with suppress(OSError), self._path(execution_key).open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - KEPT))
            return file.read()
        return b""

    def _path(self, execution_key: int) -> Path:
        return self._folder / f"{execution_key}.log"

    def _drop_oldest(self) -> None:
        with suppress(OSError):
            found = sorted(self._folder.glob("*.log"), key=lambda path: path.stat().st_mtime)
            for path in found[: -MOST_FILES or None] if len(found) > MOST_FILES else ():
                path.unlink(missing_ok=True)
