"""What hangs on an exception: members of a group, causes, notes.

All of it is read past the exception, whose class may have made anything of its attributes.
"""

from collections.abc import Iterator
from typing import Any, Final

#: Members of a group, causes of an exception and notes on it that are looked at.
_MOST: Final = 10

_cause_of = vars(BaseException)["__cause__"].__get__
_context_of = vars(BaseException)["__context__"].__get__
_hides_context = vars(BaseException)["__suppress_context__"].__get__
_attributes_of = vars(BaseException)["__dict__"].__get__
_parts_of = vars(BaseExceptionGroup)["exceptions"].__get__


def is_group(error: BaseException) -> bool:
    """Whether it stands for several exceptions, as `asyncio.TaskGroup` raises them."""
    return issubclass(type(error), BaseExceptionGroup)


def members_of(error: BaseException) -> list[BaseException]:
    """The exceptions of a group that are no groups themselves, the first ten; none of any other exception."""
    found: list[BaseException] = []
    waiting = [error] if is_group(error) else []
    while waiting and len(found) < _MOST:
        one = waiting.pop()
        if is_group(one):
            waiting += reversed(_parts_of(one))
        else:
            found.append(one)
    return found


def cause_of(error: BaseException) -> BaseException | None:
    """What somebody says it was raised `from`."""
    cause: BaseException | None = _cause_of(error)
    return cause


def led_to(error: BaseException) -> BaseException | None:
    """What led to it, as a traceback tells it: the cause named, or what was handled."""
    cause: BaseException | None = _cause_of(error)
    if cause is None and not _hides_context(error):
        cause = _context_of(error)
    return cause


def causes_of(error: BaseException) -> Iterator[BaseException]:
    """What led to it, what led to that, and so on, the first ten."""
    seen = {id(error)}
    while len(seen) <= _MOST:
        cause = led_to(error)
        if cause is None or id(cause) in seen:
            return
        seen.add(id(cause))
        yield cause
        error = cause


def notes_of(error: BaseException) -> list[Any]:
    """What `add_note` has added; whether these are texts is for the reader to see."""
    notes = (_attributes_of(error) or {}).get("__notes__")
    return list.copy(notes)[:_MOST] if type(notes) is list else []
