"""What the end of a batch's process means. Pure: the life of the process and its ticket come in."""

from enum import StrEnum
from typing import Final

from everyitem.faces.supervision.life import Life
from everyitem.ports.queue import Ticket, Wish

#: Exit codes of the command line (contract section 4).
_ERROR: Final = 1
_USAGE: Final = 2


class Ending(StrEnum):
    """What is to be done about it."""

    #: The execution came to its end: the ticket goes.
    DONE = "done"
    #: It was stopped, as somebody had asked: the ticket stays, and says what is to become of it.
    RESTED = "rested"
    #: It could not be carried out for a reason of its own, and has said why.
    REFUSED = "refused"
    #: It could not even be started here; perhaps no batch can.
    UNUSABLE = "unusable"
    CRASHED = "crashed"


def ending_of(life: Life, ticket: Ticket | None, *, stopping: bool) -> Ending:
    """What the end of a process means; `ticket` is as of afterwards, `stopping`: the service asked for it."""
    if ticket is None or ticket.has_ended:
        return Ending.DONE
    if stopping or ticket.wish is not Wish.RUN:
        return Ending.RESTED
    if life.ends == _ERROR:
        return Ending.REFUSED
    if life.ends == _USAGE or (not life.is_up and life.returncode == _USAGE):
        return Ending.UNUSABLE
    return Ending.CRASHED
