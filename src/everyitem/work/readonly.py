"""JSON values nobody can change by accident: what the context shows of the batch's settings.

They are real dicts and lists, so that `json.dumps`, `isinstance` and returning them as a result work.
"""

from typing import Any, NoReturn


def _refuse(*_args: object, **_kwargs: object) -> NoReturn:
    raise TypeError(
        "the batch's settings are read-only in an item processor; work on a copy: dict(...), list(...)"
    )


class ReadOnlyDict(dict[str, Any]):
    """A dict that refuses changes; `dict(it)` and `copy.deepcopy(it)` are ordinary again."""

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        return {key: thaw(part) for key, part in self.items()}


class ReadOnlyList(list[Any]):
    """A list that refuses changes; `list(it)` and `copy.deepcopy(it)` are ordinary again."""

    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = clear = extend = insert = pop = remove = reverse = sort = _refuse

    def __deepcopy__(self, memo: dict[int, Any]) -> list[Any]:
        return [thaw(part) for part in self]


def freeze(value: Any) -> Any:
    """The same JSON value, read-only all the way down."""
    if isinstance(value, dict):
        return ReadOnlyDict({key: freeze(part) for key, part in value.items()})
    if isinstance(value, list):
        return ReadOnlyList([freeze(part) for part in value])
    return value


def thaw(value: Any) -> Any:
    """An ordinary, changeable copy of a read-only JSON value."""
    if isinstance(value, dict):
        return {key: thaw(part) for key, part in value.items()}
    if isinstance(value, list):
        return [thaw(part) for part in value]
    return value
