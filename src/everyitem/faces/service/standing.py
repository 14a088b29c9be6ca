"""Where batches stand in the service: their place in the line, and when they are likely to start."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from everyitem.engine.allocation import forecast, rank
from everyitem.faces.api.views import moment
from everyitem.faces.service.views import BatchStatus
from everyitem.model.status import ExecutionStatus
from everyitem.ports.execution import ExecutionRecord
from everyitem.ports.queue import BatchQueue, ServiceRecord, Ticket, Wish

#: Why a batch waits that nobody has looked at yet.
_NEXT: Final = "it is about to be started"
_NOBODY: Final = "no service is running on this store"
_HELD: Final = "somebody has to resume it"


class Line:
    """The queue as of one look."""

    def __init__(
        self,
        tickets: Sequence[Ticket],
        services: Sequence[ServiceRecord],
        *,
        now: float,
        typical: float | None = None,
        obstacles: Mapping[int, str] | None = None,
    ) -> None:
        """`typical` is how many seconds a batch takes, `obstacles` says by execution why it waits."""
        self._by_key = {ticket.execution_key: ticket for ticket in tickets}
        self._obstacles = (obstacles or {}) if services else {}
        self._default = _NEXT if services else _NOBODY
        running = [one for one in tickets if one.owned and one.status is not ExecutionStatus.PAUSED]
        #: Those that wait, the next one first.
        self.waiting = sorted((one for one in tickets if one.waits), key=rank)
        starts = forecast(
            sum(service.batches for service in services),
            [None if one.progress is None else one.progress.eta_seconds for one in running],
            len(self.waiting),
            typical=typical,
        )
        self._place = {
            one.execution_key: (position, None if start is None else now + start)
            for position, (one, start) in enumerate(zip(self.waiting, starts, strict=True), start=1)
        }

    def place(self, execution_key: int) -> tuple[int | None, str | None]:
        """Position (1 is next) and expected start (RFC 3339) of an execution; None where there is none."""
        position, start = self._place.get(execution_key, (None, None))
        return position, moment(start)

    def of(self, record: ExecutionRecord) -> BatchStatus:
        """Where an execution stands."""
        status, ticket = BatchStatus.of(record), self._by_key.get(record.execution_key)
        if ticket is None:
            return status
        position, start = self.place(record.execution_key)
        waits_for = None
        if position is not None:
            waits_for = self._obstacles.get(record.execution_key, self._default)
        elif ticket.wish is Wish.HOLD:
            waits_for = _HELD
        return replace(
            status,
            priority=str(ticket.priority),
            submitted_by=ticket.actor,
            queue_position=position,
            expected_start=start,
            waits_for=waits_for,
            parallelism=ticket.progress.parallelism if ticket.progress else None,
            parallelism_limit=ticket.parallelism,
        )


def look(
    queue: BatchQueue, *, typical: Callable[[], float | None], obstacles: Callable[[], Mapping[int, str]]
) -> Line:
    """The queue as it is now."""
    tickets = queue.tickets()
    return Line(tickets, queue.services(), now=queue.now(), typical=typical(), obstacles=obstacles())
