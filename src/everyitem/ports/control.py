"""What other processes ask of the owner of an execution."""

from enum import StrEnum

import msgspec

from everyitem.ports.doubt import Settlement


class ControlKind(StrEnum):
    """Requests other processes leave for the owner."""

    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    SETTLE = "settle"
    GRANT = "grant"


class Control(msgspec.Struct, frozen=True):
    """One request in the control inbox."""

    position: int
    kind: ControlKind
    requested_at: float
    requested_by: str
    #: What a settlement says.
    settlement: Settlement | None = None
    #: What a grant says: how many items may run at once.
    slots: int | None = None
