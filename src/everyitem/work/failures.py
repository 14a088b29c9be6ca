"""From an exception to a `Failure`: what a person needs to find the cause, bounded in size."""

import math
import os
from pathlib import Path
from types import CodeType, TracebackType
from typing import Final, NamedTuple

from everyitem.model.errors import ErrorCode, PermanentItemError, RetryLater
from everyitem.model.outcome import UNREACHABLE, Failure, Frame
from everyitem.work.exceptions import causes_of, led_to, members_of, notes_of
from everyitem.work.kinds import Kind, blame, kind_of
from everyitem.work.results import NoResultYet, UnusableResult
from everyitem.work.texts import ask, class_name, storable

#: Characters of an exception's message that are kept.
MAX_MESSAGE: Final = 4_000
#: Characters of a cause that are kept.
_MAX_CAUSE: Final = 500
#: Seconds `RetryLater` waits at most; the batch timeout ends the wait long before.
MAX_WAIT: Final = 365 * 86_400.0
#: Frames kept from either end of the traceback (a RecursionError has a thousand).
_MAX_FRAMES: Final = 20
#: Pieces of code that are remembered.
_MOST_PLACES: Final = 1_024

#: Our own frames are left out: `work` calls the user's code, nodes call `work`.
_OURS = str(Path(__file__).resolve().parents[1]) + os.sep


def failure_of(error: BaseException, *, index: int, attempt: int, duration_us: int) -> Failure:
    """The failed attempt that `error`, raised by the item processor, stands for.

    Raises nothing, whatever the exception's own methods do, and can always be encoded.
    """
    kind = kind_of(error)
    failure = Failure(index, attempt, kind.code, kind.name, _message_of(error, kind), duration_us)
    if issubclass(kind.type, UnusableResult):
        return failure
    if issubclass(kind.type, NoResultYet):
        failure.type, failure.deferred = "Deferred", getattr(error, "timeout", 0.0)
        return failure
    failure.frames = _frames_of(_trace_of(error))
    failure.family, failure.innate = blame(error, kind)
    members = members_of(error) if kind.is_group else []
    if members or led_to(error) is not None:
        failure.causes = [in_short(one)[:_MAX_CAUSE] for one in (*members, *causes_of(error))]
    if members:
        _join(failure, members)
    elif issubclass(kind.type, PermanentItemError):
        failure.permanent = True
    elif issubclass(kind.type, RetryLater):
        failure.retry_after = _wait_of(error)
        if failure.retry_after is None:
            failure.message += " (its `seconds` are not a number, so this counts as an ordinary failure)"
    return failure


def _join(failure: Failure, members: list[BaseException]) -> None:
    """Make of a group what its members ask for: who awaits several things at once gets groups."""
    kinds = [kind_of(one) for one in members]
    failure.innate = not failure.family and all(kind.innate for kind in kinds)
    failure.permanent = any(issubclass(kind.type, PermanentItemError) for kind in kinds)
    if all(issubclass(kind.type, RetryLater) for kind in kinds):
        waits = [wait for one in members if (wait := _wait_of(one)) is not None]
        failure.retry_after = max(waits, default=None)


def timeout_failure(index: int, *, attempt: int, duration_us: int, timeout: float) -> Failure:
    """The failed attempt of an item that ran longer than `timeout` seconds."""
    return Failure(
        index,
        attempt,
        ErrorCode.TIMEOUT_ERROR,
        "ItemTimeout",
        f"the item ran longer than the item timeout of {timeout:g} s (itemTimeoutMs)",
        duration_us,
        family=UNREACHABLE,
    )


def is_final(failure: Failure, max_attempts: int) -> bool:
    """Whether a failed attempt is the item's last: permanent, or out of retries."""
    if failure.permanent:
        return True
    goes_on = failure.retry_after is not None or failure.deferred is not None
    return not goes_on and failure.attempt >= max_attempts


def in_short(error: BaseException) -> str:
    """An exception in one line: type, message and where it was raised."""
    frames = _frames_of(_trace_of(error), ours=True)
    where = "".join(f" at {file}, line {line}" for file, line, _ in frames[-1:])
    return f"{class_name(error)}: {_message_of(error, kind_of(error))}{where}"


def _message_of(error: BaseException, kind: Kind) -> str:
    if kind.is_exit:
        return f"the item processor called sys.exit({ask(repr, getattr(error, 'code', None)):.200})"
    text = ask(str, error)
    if kind.is_group:
        members = (f"{class_name(one)}: {ask(str, one):.{MAX_MESSAGE}}" for one in members_of(error))
        text += ": " + "; ".join(members)
    for note in notes_of(error):
        text += f"\n{ask(str, note):.{MAX_MESSAGE}}"
    if len(text) > MAX_MESSAGE:
        text = f"{text[:MAX_MESSAGE]}... ({len(text):,} characters)"
    return text


def _wait_of(error: BaseException) -> float | None:
    """The seconds a `RetryLater` asks for, within reason; None when it does not say."""
    try:
        # a subclass may have left out `super().__init__`
        seconds = float(getattr(error, "seconds", math.nan))
    except BaseException:
        return None
    return None if math.isnan(seconds) else min(max(0.0, seconds), MAX_WAIT)


def _trace_of(error: BaseException) -> TracebackType | None:
    # not through the exception, which may have a `__getattribute__` of its own
    trace: TracebackType | None = vars(BaseException)["__traceback__"].__get__(error)
    return trace


def _frames_of(trace: TracebackType | None, *, ours: bool = False) -> list[Frame]:
    """(file, line, function) of the frames, outermost first, without reading any source file."""
    frames: list[Frame] = []
    while trace is not None:
        code = trace.tb_frame.f_code
        place = _places.get(id(code)) or _place_of(code)
        if ours or not place.is_ours:
            frames.append((place.file, trace.tb_lineno or 0, place.function))
        trace = trace.tb_next
    return frames if len(frames) <= 2 * _MAX_FRAMES else frames[:_MAX_FRAMES] + frames[-_MAX_FRAMES:]


class _Place(NamedTuple):
    """Where a piece of code stands."""

    code: CodeType
    file: str
    function: str
    is_ours: bool


#: By `id` of the code, which each entry keeps alive: to compare code costs more than to look at it.
_places: dict[int, _Place] = {}


def _place_of(code: CodeType) -> _Place:
    place = _Place(
        code, storable(code.co_filename), storable(code.co_name), code.co_filename.startswith(_OURS)
    )
    if len(_places) >= _MOST_PLACES:
        # somebody compiles code by the item
        _places.clear()
    _places[id(code)] = place
    return place
