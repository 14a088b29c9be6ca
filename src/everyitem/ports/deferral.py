"""Items whose call has returned, and whose outcome comes as an event."""

import msgspec


class Deferral(msgspec.Struct, frozen=True, array_like=True):
    """An item whose call has returned and whose outcome will come as an event."""

    index: int
    #: The attempt the event must name.
    attempt: int
    #: Epoch seconds by which it must have come.
    due: float
    #: How long the call took, in microseconds.
    duration_us: int = 0
    #: By which events name it.
    item_id: str = ""


class DeferralChange(msgspec.Struct, frozen=True, gc=False):
    """A deferral as of a save; `due` in the state machine's own time, None when it is over."""

    index: int
    attempt: int
    due: float | None
    duration_us: int = 0
