"""An owner's way to the simulator's disk: its transactions, with their unknown ends."""

from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec.structs import replace

from everyitem.adapters.stores.transactions import Position, Transactions
from everyitem.model.allocation import Allocation
from everyitem.model.status import ExecutionStatus
from everyitem.ports.checkpoint import Commit
from everyitem.ports.completions import Completion
from everyitem.ports.control import Control
from everyitem.ports.progress import Progress


class Process(Protocol):
    """A process that may own the execution."""

    name: str
    is_dead: bool
    #: Whether it is on the host of everybody else, who can then see that it is dead.
    here: bool


class Disk(Protocol):
    """What an owner needs of the store."""

    def transaction(self, write: Callable[[], None]) -> None: ...

    def position(self, token: int) -> Position | None: ...

    def pass_guard(self, process: Process, token: int, position: Position, *, keep: bool = True) -> None: ...

    def apply(self, commit: Commit) -> None: ...

    def open_round(self, indices: Sequence[int]) -> None: ...

    def move(self, status: ExecutionStatus | None) -> None: ...

    def completions(self, token: int) -> list[Completion]: ...


class VirtualOwnership:
    """`ports.store.Ownership` over the virtual store."""

    def __init__(self, store: Disk, process: Process, token: int) -> None:
        self.execution_key, self.token = 1, token
        self._store, self._process = store, process
        self._told: set[int] = set()
        self._transactions = Transactions(lambda: store.position(token), name="the simulated execution")

    def commit(self, commit: Commit) -> int:
        segments = len(commit.segments)
        write = self._writing(lambda: self._store.apply(commit), segments=segments)
        return self._transactions.run(write, what=commit).last_sequence

    def renew(self, progress: Progress | None) -> list[Control]:
        self._transactions.run(self._writing(lambda: None))
        return []

    def controls(self) -> list[Control]:
        return []

    def completions(self, limit: int) -> list[Completion]:
        fresh = [one for one in self._store.completions(self.token) if one.position not in self._told][:limit]
        self._told.update(one.position for one in fresh)
        return fresh

    def allocation(self) -> Allocation | None:
        return None

    def open_round(self, indices: Sequence[int]) -> int:
        """Open the next round over some failed items."""
        write = self._writing(lambda: self._store.open_round(indices), rounds=1)
        return self._transactions.run(write, what=indices).round

    def release(self, status: ExecutionStatus | None = None) -> None:
        self._transactions.give_back(self._writing(lambda: self._store.move(status), keep=False))

    def _writing(
        self, effect: Callable[[], None], *, segments: int = 0, rounds: int = 0, keep: bool = True
    ) -> Callable[[Position], Position]:
        """A transaction of this owner that has an effect on the store."""
        store = self._store

        def write(position: Position) -> Position:
            def inside() -> None:
                store.pass_guard(self._process, self.token, position, keep=keep)
                effect()

            store.transaction(inside)
            return replace(
                position,
                writes=position.writes + 1,
                round=position.round + rounds,
                last_sequence=position.last_sequence + segments,
            )

        return write
