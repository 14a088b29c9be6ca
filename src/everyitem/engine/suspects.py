"""What a run does about items that may have killed the coordinator of an earlier one.

Pure. Suspects run again by themselves, before anything else; who has killed one coordinator after the other
while it ran alone in it is quarantined instead. See `ports/started.py` for how that becomes known.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from everyitem.engine.retries import PendingAttempt
from everyitem.model.errors import ErrorCode
from everyitem.model.outcome import Failure
from everyitem.ports.started import Suspect, Suspicion

#: Nobody is suspected of anything.
NOBODY = Suspicion()


def with_suspects(pending: Sequence[PendingAttempt], suspicion: Suspicion) -> list[PendingAttempt]:
    """What waits for an attempt when a run begins: suspects first, each with the attempts it has used up."""
    waiting = {one.index: one for one in pending}
    suspects = [
        replace(waiting.pop(one.index, PendingAttempt(one.index, 0)), alone=True)
        for one in suspicion.suspects
    ]
    return [*suspects, *waiting.values()]


def coordinator_death(suspect: Suspect, *, attempt: int) -> Failure:
    """The failure a suspect is quarantined with."""
    return Failure(
        suspect.index,
        attempt,
        ErrorCode.SYSTEM_ERROR,
        "CoordinatorDied",
        f"the process that carries out the batch died {suspect.deaths} times while it ran nothing but this "
        "item, which is quarantined; a redrive runs it again, best on process nodes, where it can only kill "
        "its worker",
        permanent=True,
    )
