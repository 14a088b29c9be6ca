"""The slots of a process node: who was started in each, and how often in a row that went wrong. Pure."""

from typing import Final

#: Failed starts in a row after which a slot counts as down; the node fails when all slots are.
STARTS: Final = 3
#: Seconds before the second start; each further one waits twice as long, up to the longest.
_BACKOFF: Final = 0.1
_BACKOFF_MAX: Final = 5.0


class Slot:
    """One worker's place."""

    def __init__(self, number: int) -> None:
        """`number` counts from 0."""
        self.number = number
        self._generation = 0
        #: Failed starts in a row.
        self._failures = 0

    @property
    def is_down(self) -> bool:
        """Whether starting somebody here has gone wrong too often to be chance."""
        return self._failures >= STARTS

    def next_holder(self, node_id: str) -> str:
        """The name of the worker that is to sit here now."""
        self._generation += 1
        return holder_name(node_id, self.number, self._generation)

    def start_failed(self) -> float:
        """The worker did not come up; returns the seconds until the next start."""
        self._failures += 1
        return float(min(_BACKOFF_MAX, _BACKOFF * 2 ** (self._failures - 1)))

    def note_work(self) -> None:
        """A worker has done something here: what went wrong before is over."""
        self._failures = 0


def holder_name(node_id: str, slot: int, generation: int) -> str:
    """`local/1` for the first worker of a slot, `local/1.2` for its replacement, and so on."""
    name = f"{node_id}/{slot + 1}"
    return name if generation == 1 else f"{name}.{generation}"
