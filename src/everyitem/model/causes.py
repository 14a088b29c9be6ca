"""Causes of failures: what is written of one, and which of them are alike. Pure."""

import re
from collections.abc import Iterable

import msgspec

#: Characters of a message that tell one cause from another.
_LENGTH = 120
#: What changes from item to item in messages of one cause: quoted parts, words with digits in them.
_VARYING = re.compile(r"""'[^']*'|"[^"]*"|`[^`]*`|[\w.+-]*\d[\w.+:-]*""")


class Alike(msgspec.Struct, frozen=True):
    """Causes that differ in numbers, ids and quoted parts only."""

    #: The most frequent of them.
    example: str
    #: How many items failed for any of them.
    items: int
    #: How many different ones there are.
    causes: int


def cause_of(type_: str, message: str) -> str:
    """`type: first line of the message`."""
    return f"{type_}: {message.splitlines()[0][:_LENGTH] if message else ''}"


def pattern_of(cause: str) -> str:
    """The same for all causes that are alike."""
    return _VARYING.sub("#", cause)


def grouped(failures_by_cause: Iterable[tuple[str, int]]) -> list[Alike]:
    """Causes with their counts, those that are alike together, the most frequent first."""
    groups: dict[str, list[tuple[str, int]]] = {}
    for cause, number in failures_by_cause:
        groups.setdefault(pattern_of(cause), []).append((cause, number))
    found = [
        Alike(max(same, key=lambda one: one[1])[0], sum(number for _, number in same), len(same))
        for same in groups.values()
    ]
    return sorted(found, key=lambda one: -one.items)
