"""The items of the soak: most wait, some raise, hang, or kill whoever runs them.

Every call that comes to its end is written down outside the store: index, process, and when it began and
ended, in nanoseconds of the monotonic clock, which is the same in all processes.
"""

import os
import time
from typing import Any

from everyitem import item_processor

#: Raises, hangs and dies at the first attempt; dies at every one. Each: of so many items, which.
FLAKY = (100, 11)
HANGING = (1_000, 29)
DYING = (500, 13)
POISON = (5_000, 77)


@item_processor("soak")
def soak(item: Any, context: Any) -> Any:
    """Wait for `seconds`, unless it is one of those that do not."""
    began = time.monotonic_ns()
    if is_one(item, POISON):
        os.abort()
    if context.attempt == 1:
        if is_one(item, DYING):
            os._exit(1)
        if is_one(item, HANGING):
            time.sleep(3600)
        if is_one(item, FLAKY):
            raise ConnectionError("not yet")
    time.sleep(context.parameters["seconds"])
    note(context.parameters["witness"], item, began)
    return {"square": item * item}


def is_one(number: int, which: tuple[int, int]) -> bool:
    """Whether an item is one of that kind."""
    among, this = which
    return number % among == this


def note(witness: str, item: int, began: int) -> None:
    """Append one line, which is whole or not there at all."""
    file = os.open(witness, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, b"%d %d %d %d\n" % (item, os.getpid(), began, time.monotonic_ns()))
    finally:
        os.close(file)
