"""From an exception to a `Failure`: what a person needs to find the cause, bounded in size."""

import math
import os
from pathlib import Path
from types import TracebackType

from everyitem.model.errors import ErrorCode, PermanentItemError, RetryLater
from everyitem.model.outcome import Failure, Frame
from everyitem.work.results import UnusableResult

#: Characters of an exception's message that are kept.
MAX_MESSAGE = 4_000
#: Frames kept from either end of the traceback (a RecursionError has a thousand).
_MAX_FRAMES = 20

#: Our own frames are left out: `work` calls the user's code, nodes call `work`.
_OURS = str(Path(__file__).resolve().parents[1]) + os.sep


def failure_of(error: BaseException, *, index: int, attempt: int, duration_us: int) -> Failure:
    """The failed attempt that `error`, raised by the item processor, stands for."""
    failure = Failure(
        index,
        attempt,
        ErrorCode.RESOURCE_ERROR if isinstance(error, MemoryError) else ErrorCode.ITEM_ERROR,
        type(error).__name__,
        _message_of(error),
        duration_us,
    )
    if isinstance(error, UnusableResult):
        return failure
    failure.frames = _frames_of(error.__traceback__)
    if isinstance(error, PermanentItemError):
        failure.permanent = True
    elif isinstance(error, RetryLater):
        seconds = error.seconds
        failure.retry_after = max(0.0, seconds) if math.isfinite(seconds) else 0.0
    return failure


def timeout_failure(index: int, *, attempt: int, duration_us: int, timeout: float) -> Failure:
    """The failed attempt of an item that ran longer than `timeout` seconds."""
    return Failure(
        index,
        attempt,
        ErrorCode.TIMEOUT_ERROR,
        "ItemTimeout",
        f"the item ran longer than the item timeout of {timeout:g} s (itemTimeoutMs)",
        duration_us,
    )


def is_final(failure: Failure, max_attempts: int) -> bool:
    """Whether a failed attempt is the item's last: permanent, or out of retries."""
    return failure.permanent or (failure.retry_after is None and failure.attempt >= max_attempts)


def _message_of(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"the item processor called sys.exit({error.code!r:.200})"
    try:
        text = str(error)
    except BaseException as unprintable:
        text = f"(its message cannot be shown: __str__ raised {type(unprintable).__name__})"
    if len(text) > MAX_MESSAGE:
        text = f"{text[:MAX_MESSAGE]}... ({len(text):,} characters)"
    # lone surrogates cannot be written to the store
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _frames_of(trace: TracebackType | None) -> list[Frame]:
    """(file, line, function) of the user's frames, outermost first, without reading any source file."""
    traces = []
    while trace is not None:
        if not trace.tb_frame.f_code.co_filename.startswith(_OURS):
            traces.append(trace)
        trace = trace.tb_next
    if len(traces) > 2 * _MAX_FRAMES:
        traces = traces[:_MAX_FRAMES] + traces[-_MAX_FRAMES:]
    return [(one.tb_frame.f_code.co_filename, one.tb_lineno, one.tb_frame.f_code.co_name) for one in traces]
