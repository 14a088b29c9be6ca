"""An item processor that fails first, to see what retries make of it."""

import functools
import inspect
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar, cast

Function = TypeVar("Function", bound=Callable[..., Any])


class FlakyError(Exception):
    """What `flaky` raises unless told otherwise."""


def flaky(
    function: Function,
    *,
    failures: int = 1,
    error: Callable[[], BaseException] = lambda: FlakyError("this attempt fails on purpose"),
    only: Callable[[Any], bool] = lambda _: True,
) -> Function:
    """The same item processor, failing at the first `failures` attempts of every item.

    Attempts are counted per item (by the context's idempotency key), so it behaves the same on one thread
    and on many. `error` makes the exception, for example `lambda: RetryLater(5)`; `only` picks the items
    it happens to.

    Example:
        run_inline(flaky(value_position, failures=4, only=lambda item: item["id"] == 7), items)

    Raises:
        ValueError: `failures` is negative.
    """
    if failures < 0:
        raise ValueError(f"failures must be 0 or more, not {failures}")
    seen: Counter[str] = Counter()
    guard = threading.Lock()  # `seen` is shared by all slots of a thread node

    def fail_first(item: Any, context: Any) -> None:
        if only(item):
            with guard:
                seen[context.idempotency_key] += 1
                so_far = seen[context.idempotency_key]
            if so_far <= failures:
                raise error()

    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def wrapped(item: Any, context: Any) -> Any:
            fail_first(item, context)
            return await function(item, context)
    else:

        @functools.wraps(function)
        def wrapped(item: Any, context: Any) -> Any:
            fail_first(item, context)
            return function(item, context)

    return cast("Function", wrapped)
