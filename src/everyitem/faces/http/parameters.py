"""Parameters several routes share, described once."""

from typing import Annotated
from urllib.parse import quote, unquote

from fastapi import Path, Query
from pydantic import BeforeValidator


def _decoded(text: object) -> object:
    """The guard hands paths on as they were sent; ids are decoded here, a slash in them included."""
    if not isinstance(text, str):
        return text
    decoded = unquote(text, errors="strict")
    if "\x00" in decoded:
        raise ValueError("an id holds no NUL character")
    return decoded


def segment(text: str) -> str:
    """An id as one part of a path."""
    return quote(text, safe="")


#: Which batch: its `batchId`, percent-encoded as all of a path.
BatchId = Annotated[
    str,
    BeforeValidator(_decoded),
    Path(description="The batch's `batchId`, percent-encoded."),
]
ItemId = Annotated[
    str,
    BeforeValidator(_decoded),
    Path(description="The item's `itemId`, or its 0-based position; percent-encoded."),
]
Execution = Annotated[
    int | None,
    Query(ge=1, le=1_000_000_000, description="Which execution of the batch. Default: the latest."),
]
