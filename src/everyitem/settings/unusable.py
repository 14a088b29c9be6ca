"""What to say of a value that cannot be used, in our words and without showing what may be a secret."""

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from msgspec import inspect

#: Our words for pydantic's error types; the rest is said in pydantic's.
_WORDS: Final = {
    "missing": "is required",
    "string_type": "must be a string",
    "string_too_short": "must not be empty",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "list_type": "must be an array",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "finite_number": "must be a finite number",
    "greater_than": "must be greater than {gt:g}",
    "greater_than_equal": "must be at least {ge:,g}",
    "less_than_equal": "must be at most {le:,.15g}",
    "literal_error": "must be one of {expected}",
    "enum": "must be one of {expected}",
    "extra_forbidden": "there is no such setting",
}
#: msgspec's message, and where in the table.
_PLACED: Final = re.compile(r"(.*?)(?: - at `\$\.?(.*)`)?", re.DOTALL)
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_NO_CHOICE: Final = re.compile(r"Invalid enum value (.*)", re.DOTALL)
_SIMILARITY: Final = 0.7


def in_our_words(error: Mapping[str, Any]) -> tuple[str, bool]:
    """What is wrong, of one of pydantic's errors; and whether what was found may follow."""
    template = _WORDS.get(error["type"])
    if template is None:
        return str(error["msg"]).removeprefix("Value error, "), False
    return template.format(**error.get("ctx", {})), error["type"] != "missing"


def of_setting(error: Mapping[str, Any]) -> str:
    """What is wrong with a setting. A table is never shown: a URL in it may hold a password."""
    words, may_show = in_our_words(error)
    value = error["input"]
    shows = may_show and isinstance(value, str | int | float) and error["type"] != "extra_forbidden"
    return f"{words}; found {value!r}" if shows else words


def of_table(error: msgspec.ValidationError, kind: type[Any]) -> str:
    """What is wrong with a table read as `kind`: where, what, and what there would be instead."""
    placed = _PLACED.fullmatch(str(error))
    what, where = placed.groups("") if placed is not None else (str(error), "")
    known = _at(inspect.type_info(kind), _steps(where))
    if unknown := _UNKNOWN.fullmatch(what):
        names = [field.encode_name for field in getattr(known, "fields", ())]
        near = difflib.get_close_matches(unknown[1], names, n=1, cutoff=_SIMILARITY)
        hint = f"; did you mean `{near[0]}`?" if near else ""
        return f"{where}{': ' if where else ''}there is no setting `{unknown[1]}`{hint}"
    if (wrong := _NO_CHOICE.fullmatch(what)) and isinstance(known, inspect.LiteralType):
        choices = ", ".join(repr(one) for one in known.values if one != "")
        return f"{where}: must be one of {choices}; found {wrong[1]}"
    return f"{where}: {what}" if where else what


def _steps(where: str) -> list[str]:
    return where.replace("[...]", "[]").split(".") if where else []


def _at(kind: Any, steps: Iterable[str]) -> Any:
    """The type below `kind` where msgspec found something wrong; None where that cannot be told."""
    for step in steps:
        name, _, inside = step.partition("[")
        if name:
            fields = {field.encode_name: field.type for field in getattr(kind, "fields", ())}
            if name not in fields:
                return None
            kind = fields[name]
        for _ in range(inside.count("]")):
            kind = getattr(kind, "value_type", None) or getattr(kind, "item_type", kind)
    return kind
