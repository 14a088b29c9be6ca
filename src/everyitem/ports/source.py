"""Where items come from when they do not stand in the document: the port all item sources share."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import msgspec

from everyitem.model.errors import ErrorCode, EveryitemError


class SourceSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a document (`itemSource`) or the operator (`--items`) asks for."""

    #: `jsonl`, `csv`, `parquet`, `sql`, `directory`, `http`, `cyoda-search` or `cyoda-entities`.
    kind: str
    #: Path of the file, or what names the items otherwise; a relative path is meant from `base`.
    reference: str
    #: Folder of the document, or "" for the working directory.
    base: str = ""
    #: Further keys of `itemSource`, as given.
    options: dict[str, Any] = {}
    #: `[sources]` of the configuration: what the operator has set up and allows.
    setup: Mapping[str, Any] = {}


class SourceFault(msgspec.Struct, frozen=True):
    """One thing wrong in a source: the line (1-based, 0 for the file as a whole) and what it is."""

    line: int
    message: str


class SourceChunk(msgspec.Struct, frozen=True):
    """Some consecutive items of a source: their JSON texts, unchecked, and the lines they stand on."""

    texts: list[bytes]
    lines: list[int]
    faults: list[SourceFault] = []


class SourceUnavailable(EveryitemError):
    """The source is not there or cannot be read at all."""

    code = ErrorCode.RESOURCE_ERROR


class SourceAway(SourceUnavailable):
    """The source does not answer now, or changed while it was read; later it may be read as a whole."""


class SourceMisdescribed(SourceUnavailable):
    """What the document says of the source cannot be used: it is at fault, and not the source."""

    code = ErrorCode.EXECUTION_ERROR

    def __init__(self, member: str, message: str) -> None:
        """`member` is what is wrong in `itemSource`."""
        super().__init__(f"{member} {message}")
        self.member, self.message = member, message


class ItemSource(Protocol):
    """Items in their fixed order, read once from front to back."""

    #: What error positions begin with, for example `items.jsonl`.
    name: str

    def chunks(self) -> Iterator[SourceChunk]:
        """All items; a few hundred kilobytes at a time. Raises `SourceUnavailable`."""
        ...


#: Opens a source; raises `SourceUnavailable` when it is not there. Handed to the faces by `compose`.
SourceOpener = Callable[[SourceSpec], ItemSource]
