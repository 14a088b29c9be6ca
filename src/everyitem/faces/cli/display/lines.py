"""Progress as plain lines, for logs and pipes: one every few seconds, and when something happens."""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Self

from everyitem.engine.progress import Snapshot
from everyitem.faces.cli.display.figures import count, done, duration, eta, held_back, pace, percent
from everyitem.faces.cli.terminal import note, safe
from everyitem.model.wording import many

#: Seconds between two lines when nothing special happens, and the least between lines for checkpoints.
EVERY = 5.0
AT_LEAST = 1.0


class PlainProgress:
    """A listener that says where the batch stands, seldom enough for a log."""

    def __init__(
        self, *, say: Callable[[str], None] = note, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._say, self._clock = say, clock
        self._said_at = clock()
        self._status: object = None
        self._checkpoints = 0

    def __call__(self, snapshot: Snapshot) -> None:
        """Say a line if it is time."""
        since = self._clock() - self._said_at
        first = self._status is None
        changed = not first and snapshot.status != self._status
        checkpointed = snapshot.checkpoints > self._checkpoints and since >= AT_LEAST
        if first:
            self._status, self._checkpoints = snapshot.status, snapshot.checkpoints
        if changed or checkpointed or since >= EVERY:
            self._said_at = self._clock()
            self._status, self._checkpoints = snapshot.status, snapshot.checkpoints
            self._say(progress_line(snapshot))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        """Nothing to put back."""


def progress_line(snapshot: Snapshot) -> str:
    """`17:40:05  RUNNING  45,000 of 100,000  45 %  4,981 items/s  ETA 11 s  …`."""
    parts = [
        f"{datetime.now():%H:%M:%S}",  # noqa: DTZ005 - a person reads it: local time
        str(snapshot.status),
        f"{count(done(snapshot))} of {count(snapshot.items)}",
        percent(done(snapshot), snapshot.items),
        pace(snapshot),
        eta(snapshot),
    ]
    if snapshot.parallelism_changes:
        parts.append(many(snapshot.parallelism, "slot"))
    if snapshot.failed:
        parts.append(f"{count(snapshot.failed)} failed")
    if snapshot.retries_waiting:
        parts.append(f"{count(snapshot.retries_waiting)} waiting for a retry")
    if snapshot.checkpoints:
        age = ""
        if snapshot.last_checkpoint_at is not None:
            age = f" {duration(max(0.0, time.time() - snapshot.last_checkpoint_at))} ago"
        parts.append(f"checkpoint {count(snapshot.checkpoints)}{age}")
    if outage := held_back(snapshot):
        parts.append(safe(outage))
    return "  ".join(parts)
