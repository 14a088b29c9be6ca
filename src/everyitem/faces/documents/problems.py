"""Gathering every problem of a document before refusing it."""

from everyitem.faces.documents.strict_json import shorten
from everyitem.model.errors import DocumentRefused, ErrorCode, Problem

#: Characters of a path people are shown.
_LONGEST_PATH = 160


class Problems:
    """Problems and warnings of one document, in the order they were found; one per path counts.

    The first thing wrong at a path is the cause, what follows there (NaN is also not an integer) is noise.
    """

    def __init__(self) -> None:
        self._found: dict[str, Problem] = {}
        self.warnings: list[Problem] = []

    def __len__(self) -> int:
        return len(self._found)

    def __contains__(self, path: str) -> bool:
        return path in self._found

    def add(self, path: str, message: str, code: ErrorCode = ErrorCode.EXECUTION_ERROR) -> None:
        """Something that makes the document unacceptable."""
        self._found.setdefault(path, Problem(shorten(path, _LONGEST_PATH), message, code))

    def warn(self, path: str, message: str) -> None:
        """Something worth saying that stops nothing."""
        self.warnings.append(Problem(path, message))

    def raise_if_any(self) -> None:
        """Raises `DocumentRefused` with everything found."""
        if self._found:
            raise DocumentRefused(list(self._found.values()))
