"""Rows of tables as items: what the columns hold as JSON has it."""

import base64
import math
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from everyitem.ports.source import SourceChunk, SourceFault

#: Decimals as numbers, digit by digit; moments as RFC 3339.
_encode = msgspec.json.Encoder(decimal_format="number").encode


def chunk_of(rows: Iterable[Mapping[str, Any]], before: int) -> SourceChunk:
    """Rows as JSON objects, bytes in base64; those JSON has no form for are faults. `before`: rows so far."""
    texts: list[bytes] = []
    lines: list[int] = []
    faults: list[SourceFault] = []
    for number, row in enumerate(rows, start=before + 1):
        try:
            texts.append(_encode(_plain(row)))
            lines.append(number)
        except (ValueError, TypeError) as error:
            faults.append(SourceFault(number, str(error)))
    return SourceChunk(texts, lines, faults)


def _plain(value: Any) -> Any:
    """The value as JSON has it. Raises `ValueError` for what JSON has not."""
    if isinstance(value, float | Decimal) and not math.isfinite(value):
        # msgspec would write null
        raise ValueError(f"{value} is no JSON number")
    if isinstance(value, bytes | memoryview):
        return base64.b64encode(bytes(value)).decode("ascii")
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value
