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
        #: Paths of problems that may be none if the same document comes later.
        self._passing: set[str] = set()
        self.warnings: list[Problem] = []

    def __len__(self) -> int:
        return len(self._found)

    def __contains__(self, path: str) -> bool:
        return path in self._found

    def add(
        self,
        path: str,
        message: str,
        code: ErrorCode = ErrorCode.EXECUTION_ERROR,
        *,
        may_pass: bool = False,
    ) -> None:
        """Something that makes the document unacceptable, perhaps only now (`may_pass`)."""
        if may_pass and path not in self._found:
            self._passing.add(path)
        self._found.setdefault(path, Problem(shorten(path, _LONGEST_PATH), message, code))

    def warn(self, path: str, message: str) -> None:
        """Something worth saying that stops nothing."""
        self.warnings.append(Problem(path, message))

    def raise_if_any(self) -> None:
        """Raises `DocumentRefused` with everything found."""
        if self._found:
            may_pass = self._passing == self._found.keys()
            raise DocumentRefused(list(self._found.values()), may_pass=may_pass)
