"""The simulator's checkpoint writer: the real one's commits, on virtual time."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Protocol

from everyitem.engine.commits import CommitBuilder
from everyitem.engine.messages import (
    ChangeStatus,
    CheckpointSaved,
    EventsHeard,
    Message,
    SaveCheckpoint,
    StoreFailed,
)
from everyitem.engine.writer import AT_ONCE, POLL, RENEW
from everyitem.model.errors import OwnershipLost, StoreError, StoreFull
from everyitem.ports.checkpoint import Commit
from everyitem.ports.store import Ownership

#: Seconds between two attempts to commit, and how many there are.
AGAIN = 0.5
TRIES = 6


class Desk(Protocol):
    """What the writer needs of its coordinator."""

    @property
    def now(self) -> float: ...

    @property
    def wall(self) -> float: ...

    def at(self, when: float, what: Callable[[], object]) -> None: ...

    def deliver(self, message: Message) -> None: ...

    def active_ms(self) -> int: ...

    def commit_takes(self) -> float: ...

    def awaits_events(self) -> bool: ...


class VirtualWriter:
    """Commits everything that waits, one commit at a time, and renews the ownership."""

    def __init__(self, desk: Desk, ownership: Ownership, builder: CommitBuilder, *, hears: bool) -> None:
        """`hears`: items may be deferred, so that there are events to ask for."""
        self._desk, self._ownership, self._builder = desk, ownership, builder
        self._waiting: list[SaveCheckpoint | ChangeStatus] = []
        self._busy = False
        self.is_over = False
        self._renew_later()
        if hears:
            self._hear_later()

    def put(self, command: SaveCheckpoint | ChangeStatus) -> None:
        """Hand over something to write."""
        self._waiting.append(command)
        self._go_on()

    @property
    def is_idle(self) -> bool:
        """Whether everything handed over is written, or never will be."""
        return self.is_over or not (self._busy or self._waiting)

    def stop(self) -> None:
        """Write what waits and end."""
        waiting, self._waiting = self._waiting, []
        if waiting and not self.is_over:
            with suppress(StoreError):
                self._ownership.commit(self._commit_of(waiting))
        self.is_over = True

    def _commit_of(self, waiting: list[SaveCheckpoint | ChangeStatus]) -> Commit:
        desk = self._desk
        return self._builder.build(
            waiting, progress=None, active_ms=desk.active_ms(), wall=desk.wall, monotonic=desk.now
        )

    def _go_on(self) -> None:
        if self._waiting and not self._busy and not self.is_over:
            self._busy = True
            self._desk.at(self._desk.now + self._desk.commit_takes(), self._build)

    def _build(self) -> None:
        if self.is_over:
            return
        waiting, self._waiting = self._waiting, []
        commit = self._commit_of(waiting)
        saves = [one.ticket for one in waiting if isinstance(one, SaveCheckpoint)]
        self._commit(commit, saves, TRIES)

    def _commit(self, commit: Commit, saves: list[int], tries: int) -> None:
        if self.is_over:
            return
        try:
            self._ownership.commit(commit)
        except (OwnershipLost, StoreFull) as error:
            self._give_up(error)
            return
        except StoreError as error:
            if tries == 1:
                self._give_up(error)
            else:
                self._desk.at(self._desk.now + AGAIN, partial(self._commit, commit, saves, tries - 1))
            return
        self._busy = False
        if saves:
            self._desk.deliver(CheckpointSaved(self._desk.now, saves[-1]))
        self._go_on()

    def _renew_later(self) -> None:
        self._desk.at(self._desk.now + RENEW, self._renew)

    def _renew(self) -> None:
        if self.is_over:
            return
        # one thread does both: while it commits, it renews by that
        if not self._busy:
            try:
                self._ownership.renew(None)
            except StoreError as error:
                self._give_up(error)
                return
        self._renew_later()

    def _hear_later(self) -> None:
        self._desk.at(self._desk.now + POLL, self._hear)

    def _hear(self) -> None:
        if self.is_over:
            return
        if not self._busy and self._desk.awaits_events():
            now = self._desk.now
            # one that is out of reach is asked again
            with suppress(StoreError):
                told = self._ownership.completions(AT_ONCE)
                self._desk.deliver(EventsHeard(now, told, now))
        self._hear_later()

    def _give_up(self, error: StoreError) -> None:
        self.is_over = True
        self._desk.deliver(StoreFailed(self._desk.now, error.code, str(error)))
