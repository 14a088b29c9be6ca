"""Functions as users hand them over: wrapped, partial, bound; and what can be told of them before a call.

Read off code objects: a worker need not import `inspect` for it.
"""

import functools
from collections.abc import Callable
from types import CodeType, FunctionType, MethodType
from typing import Any, Final

#: Flags of a code object (`inspect.CO_*`).
_VARARGS: Final = 0x04
_GENERATOR: Final = 0x20
_COROUTINE: Final = 0x80
_ASYNC_GENERATOR: Final = 0x200


def plain_function(function: Any) -> Any:
    """The `def` behind partials, wrappers and callable objects."""
    while True:
        if isinstance(function, functools.partial):
            function = function.func
        elif hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        elif not hasattr(function, "__code__") and hasattr(type(function).__call__, "__code__"):
            return type(function).__call__
        else:
            return function


def awaitable(function: Callable[..., Any]) -> tuple[Callable[..., Any], bool]:
    """The function to call, and whether what it returns is to be awaited.

    What wraps a coroutine function may hand on its coroutine, or run it and hand on the result: that shows
    when it has been called.
    """
    own = _code_of(function)
    if own is not None and own.co_flags & _COROUTINE:
        return function, True
    inner = getattr(plain_function(function), "__code__", None)
    if inner is None or not inner.co_flags & _COROUTINE:
        return function, False

    @functools.wraps(function)
    async def call(item: Any, context: Any) -> Any:
        answer = function(item, context)
        return await answer if hasattr(answer, "__await__") else answer

    return call, True


def why_unusable(function: Any) -> str:
    """Why no call of it could ever give a result, empty where one may."""
    if not callable(function):
        return f"must be a function, not {type(function).__name__}"
    code = _code_of(function)
    if code is None:
        return ""
    if code.co_flags & (_GENERATOR | _ASYNC_GENERATOR):
        return f"must return its result; {code.co_name} is a generator, for there is a `yield` in it"
    if not _takes_two(function, code):
        return (
            f"is called with two arguments, the item (or the list of items) and the context; "
            f"{code.co_name} in {code.co_filename}, line {code.co_firstlineno}, cannot be"
        )
    return ""


def _code_of(function: Any) -> CodeType | None:
    """The code a call of it begins in; None where that cannot be told."""
    while isinstance(function, functools.partial):
        function = function.func
    if not isinstance(function, FunctionType | MethodType):
        function = vars(type(function)).get("__call__")
    code = getattr(function, "__code__", None)
    return code if isinstance(code, CodeType) else None


def _takes_two(function: Any, code: CodeType) -> bool:
    bound = 0
    if isinstance(function, MethodType):
        function, bound = function.__func__, 1
    if not isinstance(function, FunctionType):
        return True  # for all we know
    most = code.co_argcount - bound
    least = most - len(function.__defaults__ or ())
    keywords = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    if set(keywords) - set(function.__kwdefaults__ or ()):
        return False
    return least <= 2 and (most >= 2 or bool(code.co_flags & _VARARGS))
