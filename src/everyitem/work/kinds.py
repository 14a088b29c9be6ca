"""What kind of failure an exception is, told by its class and by what is behind it.

Only in a worker are classes at hand: what leaves it is words. Two things are told. *Innate*: the item or
the code is at fault, and nothing outside. Or the *family*: one outage shows in many classes, as a connection
that is refused, then reset, then silent; what is of one family counts alike (circuit breaker, ADR 0040). An
exception that is neither is alike to its own class only.

The words are those of Python (PEP 3151), of its database API (PEP 249), of HTTP (RFC 9110, RFC 6585), and the
names that libraries give to the same things.
"""

import errno
import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from everyitem.model.errors import ErrorCode
from everyitem.model.outcome import DATABASE, UNREACHABLE
from everyitem.work.exceptions import cause_of, led_to, members_of
from everyitem.work.texts import class_name, name_of

#: Classes of exceptions that are remembered.
_MOST_KINDS: Final = 256
#: Exceptions looked at for one failure: the one that was raised, and what is behind it.
_MOST_LINKS: Final = 8

#: Exceptions by which the item or the code is at fault, whatever else they are ...
_FILE_ERRORS: Final = (
    FileExistsError,
    FileNotFoundError,
    IsADirectoryError,
    NotADirectoryError,
    PermissionError,
)
#: ... and unless the operating system or a connection speaks (`ssl` and `requests` raise what is both).
_INNATE: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    NameError,
    NotImplementedError,
    RecursionError,
    SyntaxError,
    TypeError,
    ValueError,
)
#: What databases call the item's values, or the code's statements (PEP 249).
_INNATE_NAME: Final = re.compile(r"^(DataError|IntegrityError|ProgrammingError|NotSupportedError)$")

#: Names of classes, and what they say; of a class and its ancestors the nearest that says something is heard.
_SAYS: Final = (
    # A certificate that is refused may as well be a setting, and waiting mends none.
    (re.compile(r"SSLError$|CertVerification"), ""),
    (
        re.compile(
            r"Connect|Disconnect|Timeout|TimedOut|Unavailable|Unreachable|DeadlineExceeded|gaierror|herror"
            r"|BrokenPipe|IncompleteRead|Network(Error|Timeout)|RemoteProtocolError|SSL(EOF|Syscall|ZeroReturn)"
        ),
        UNREACHABLE,
    ),
    (re.compile(r"^(OperationalError|InterfaceError)$"), DATABASE),
)
#: Numbers of a plain `OSError` that say the same; others have a class of their own.
_ERRNOS: Final = frozenset(
    {
        errno.EADDRNOTAVAIL,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.ENETRESET,
        errno.ENETUNREACH,
        errno.ENOTCONN,
    }
)
#: Classes whose exceptions may carry the status of an HTTP response.
_HAS_STATUS: Final = re.compile(r"http|status|response|api", re.IGNORECASE)
#: Where it is: on its `response`, or on the exception.
_STATUSES: Final = ("status_code", "status", "code")
_OF_THE_ITEM: Final = "item"
_STATUS_SAYS: Final = {
    # what was asked for is wrong, is not there, or may not be done: other items ask for something else
    **dict.fromkeys((400, 404, 405, 406, *range(409, 418), 422, 428, 431), _OF_THE_ITEM),
    # request timeout, too many requests, bad gateway, service unavailable, gateway timeout
    **dict.fromkeys((408, 429, 502, 503, 504), UNREACHABLE),
}

# Not through the exception, nor its class, which may have methods of their own.
_ancestors_of = vars(type)["__mro__"].__get__
_errno_of = vars(OSError)["errno"].__get__


class Kind(NamedTuple):
    """What all exceptions of one class have in common."""

    type: type[BaseException]
    name: str
    code: ErrorCode
    innate: bool
    #: `UNREACHABLE`, `DATABASE`, or empty.
    family: str
    #: Where the class says nothing: whether a number of the operating system or of HTTP may, or members.
    is_systems: bool = False
    has_status: bool = False
    is_group: bool = False
    is_exit: bool = False


#: By `id` of the class, which each entry keeps alive: a metaclass may have a `__hash__` of its own.
_kinds: dict[int, Kind] = {}


def kind_of(error: BaseException) -> Kind:
    """What the class of the exception says."""
    # not `isinstance`, which asks the exception itself
    class_ = type(error)
    known = _kinds.get(id(class_))
    if known is None:
        known = _kind_of(class_, class_name(error))
        if len(_kinds) >= _MOST_KINDS:
            # somebody makes classes by the item
            _kinds.clear()
        _kinds[id(class_)] = known
    return known


def blame(error: BaseException, kind: Kind) -> tuple[str, bool]:
    """The family of an exception of that kind, and whether it is innate; never both.

    Where its class says nothing of a family, what is behind it does. What it was raised *from* is believed
    whatever its class. What it was only raised in the handling of is believed where its class says nothing at
    all: a `KeyError` there is the handler's own.
    """
    if kind.family:
        return kind.family, False
    trail = [error]
    for link in trail:
        its = kind_of(link)
        family = its.family or _told_by_number(link, its)
        if family == _OF_THE_ITEM and link is error:
            return "", True
        if family and family != _OF_THE_ITEM:
            return family, False
        if len(trail) < _MOST_LINKS:
            trail += _behind(link, its)
    return "", kind.innate


def _kind_of(class_: type[BaseException], name: str) -> Kind:
    code = ErrorCode.RESOURCE_ERROR if issubclass(class_, MemoryError) else ErrorCode.ITEM_ERROR
    if issubclass(class_, ConnectionError | TimeoutError):
        return Kind(class_, name, code, innate=False, family=UNREACHABLE)
    names = [name_of(one) for one in _ancestors_of(class_)]
    is_systems = issubclass(class_, OSError)
    is_innate = issubclass(class_, _FILE_ERRORS) or any(map(_INNATE_NAME.search, names))
    is_innate = is_innate or (issubclass(class_, _INNATE) and not is_systems)
    return Kind(
        class_,
        name,
        code,
        innate=is_innate,
        family="" if is_innate else _family_named(names),
        is_systems=is_systems,
        has_status=any(map(_HAS_STATUS.search, names)),
        is_group=issubclass(class_, BaseExceptionGroup),
        is_exit=issubclass(class_, SystemExit),
    )


def _family_named(names: Sequence[str]) -> str:
    for name in names:
        for pattern, family in _SAYS:
            if pattern.search(name):
                return family
    return ""


def _told_by_number(error: BaseException, kind: Kind) -> str:
    """What exceptions of one class tell apart by numbers: a family, or that it is the item's fault."""
    if kind.is_systems:
        number: Any = _errno_of(error)
        if type(number) is int and number in _ERRNOS:
            return UNREACHABLE
    return _STATUS_SAYS.get(_status_of(error), "") if kind.has_status else ""


def _status_of(error: BaseException) -> int:
    """The status of the HTTP response the exception stands for; 0 where it says none."""
    try:
        response = getattr(error, "response", None)
        for one in (error,) if response is None else (response, error):
            for name in _STATUSES:
                if isinstance(status := getattr(one, name, None), int):
                    return int(status)
    except BaseException:
        # a property may do anything
        return 0
    return 0


def _behind(error: BaseException, kind: Kind) -> Sequence[BaseException]:
    """What the exception was raised from, or in the handling of, and what a group consists of."""
    cause = cause_of(error) if kind.innate else led_to(error)
    behind = () if cause is None else (cause,)
    return (*behind, *members_of(error)) if kind.is_group else behind
