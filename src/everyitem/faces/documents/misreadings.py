"""Files that can be read, but hardly as they are meant: what to say where one looks so."""

import msgspec

from everyitem.model.items import Items

_NAME_QUOTED = 60


def misreading(kind: str, items: Items) -> str | None:
    """What is odd about the items of a source of this kind; None where nothing is.

    A list in one line of a `jsonl` is one item, and a line of a `csv` whose fields something else than the
    delimiter parts has one field. Both are legal, and nearly always a mistake.
    """
    if not len(items):
        return None
    if kind == "jsonl" and len(items) == 1 and items.text(range(1)).startswith(b"[["):
        return "its only line is a list, which is one item; JSON Lines has one item on each line"
    if kind == "csv":
        (first,) = msgspec.json.decode(items.text(range(1)))
        (name, *others) = first
        if not others and any(mark in name for mark in ";\t|"):
            shown = name if len(name) <= _NAME_QUOTED else f"{name[:_NAME_QUOTED]}..."
            return f"its header names one field, {shown!r}; `delimiter` of itemSource says what parts fields"
    return None
