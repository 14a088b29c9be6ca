"""The live picture of a running batch: progress, rate, a lane per worker, failures by cause.

The engine's thread only leaves the latest snapshot here; rendering happens on rich's refresh thread, four
times a second, so drawing costs the batch next to nothing.
"""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Self

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from everyitem.engine.progress import Snapshot
from everyitem.faces.cli.display.figures import (
    causes,
    count,
    done,
    duration,
    eta,
    held_back,
    pace,
    parallelism_change,
    percent,
)
from everyitem.faces.cli.terminal import safe
from everyitem.model.status import ExecutionStatus
from everyitem.model.wording import many
from everyitem.ports.node import WorkerView

_REFRESHES_PER_SECOND = 4
#: Lines the picture needs besides worker lanes and causes.
_FIXED_LINES = 10
_MOST_CAUSES = 5
_NARROWEST_BAR = 8
_STATE_STYLES = {
    ExecutionStatus.RUNNING: "bold green",
    ExecutionStatus.PAUSED: "bold yellow",
    ExecutionStatus.COMPLETED: "bold green",
    ExecutionStatus.COMPLETED_WITH_ERRORS: "bold yellow",
    ExecutionStatus.FAILED: "bold red",
    ExecutionStatus.CANCELLED: "bold red",
}


class LiveProgress:
    """A listener that draws; use it as a context manager around the execution."""

    def __init__(self, title: str, *, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._title = safe(title)
        self._latest: Snapshot | None = None
        self._stack = ExitStack()

    def __call__(self, snapshot: Snapshot) -> None:
        """Take the newest snapshot; it is drawn at the next refresh."""
        self._latest = snapshot

    def __enter__(self) -> Self:
        self._stack.enter_context(
            Live(
                console=self._console,
                get_renderable=self._picture,
                refresh_per_second=_REFRESHES_PER_SECOND,
                transient=True,
            )
        )
        return self

    def __exit__(self, *raised: object) -> None:
        self._stack.close()

    def _picture(self) -> RenderableType:
        snapshot = self._latest
        if snapshot is None:
            return Text(f"{self._title}  starting …", style="dim", no_wrap=True, overflow="ellipsis")
        return Picture(snapshot, epoch=time.time())


class Picture:
    """One snapshot, drawn to the width and height there is."""

    def __init__(self, snapshot: Snapshot, *, epoch: float) -> None:
        self._snapshot, self._epoch = snapshot, epoch

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Sequence[RenderableType]:
        snapshot, width = self._snapshot, options.max_width
        room = max(2, (console.size.height or 24) - _FIXED_LINES)
        cause_lines, more_causes = causes(snapshot.failures_by_cause, min(_MOST_CAUSES, max(1, room // 3)))
        parts: list[RenderableType] = [
            self._heading(width),
            self._bar(width),
            _fitting(self._pace(), width),
            _fitting(self._counts(), width),
            *(_line((text, style)) for text, style in self._decisions()),
        ]
        if snapshot.workers:
            parts += [Text(), self._lanes(room - len(cause_lines), width)]
        if cause_lines:
            parts += [Text(), Text("failures by cause", style="dim")]
            parts += [_line((f"{number:>9}  ", "red"), (cause, "")) for number, cause in cause_lines]
            if more_causes:
                parts.append(_line((f"{'':9}  and {many(more_causes, 'more cause')}", "dim")))
        return [Group(*parts)]

    def _heading(self, width: int) -> Text:
        state = self._snapshot.status
        which = f"  execution {self._snapshot.execution}" if self._snapshot.execution > 1 else ""
        which += f"  round {self._snapshot.round}" if self._snapshot.round > 1 else ""
        title = Text(safe(self._snapshot.batch_id), style="bold", no_wrap=True)
        title.truncate(max(8, width - len(state) - 2 - len(which)), overflow="ellipsis")
        heading = Text.assemble(title, "  ", (str(state), _STATE_STYLES.get(state, "bold")), (which, "dim"))
        heading.no_wrap, heading.overflow = True, "ellipsis"
        return heading

    def _bar(self, width: int) -> RenderableType:
        snapshot = self._snapshot
        label = (
            f"{percent(done(snapshot), snapshot.items)}  {count(done(snapshot))} of {count(snapshot.items)}"
        )
        room = width - len(label) - 2
        if room < _NARROWEST_BAR:
            return _line((label, ""))
        bar = ProgressBar(
            total=max(1, snapshot.items),
            completed=done(snapshot) if snapshot.items else 1,
            width=room,
            complete_style="green",
            finished_style="green",
        )
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_row(bar, Text(label, no_wrap=True))
        return grid

    def _pace(self) -> list[tuple[str, str]]:
        snapshot = self._snapshot
        parts = [(pace(snapshot), "bold"), (eta(snapshot), "bold")]
        parts.append((f"{duration(snapshot.elapsed)} so far", ""))
        parts.append((f"{count(snapshot.in_flight)}/{count(snapshot.parallelism)} busy", ""))
        if snapshot.last_checkpoint_at is not None:
            age = duration(max(0.0, self._epoch - snapshot.last_checkpoint_at))
            parts.append((f"checkpoint {count(snapshot.checkpoints)} {age} ago", ""))
        return parts

    def _counts(self) -> list[tuple[str, str]]:
        snapshot = self._snapshot
        return [
            (f"{count(snapshot.succeeded)} succeeded", "green"),
            (f"{count(snapshot.failed)} failed", "red" if snapshot.failed else "dim"),
            (
                f"{count(snapshot.retries_waiting)} waiting for a retry",
                "yellow" if snapshot.retries_waiting else "dim",
            ),
            (f"{count(snapshot.retried)} retried", "" if snapshot.retried else "dim"),
            (many(snapshot.steals, "steal"), "" if snapshot.steals else "dim"),
        ]

    def _decisions(self) -> list[tuple[str, str]]:
        """What the engine has decided of its own accord, and why."""
        snapshot, decisions = self._snapshot, []
        if outage := held_back(snapshot):
            decisions.append((safe(outage), "bold yellow"))
        if snapshot.parallelism_changes:
            decisions.append((parallelism_change(snapshot.parallelism_changes[-1]), "dim"))
        return decisions

    def _lanes(self, room: int, width: int) -> Table:
        workers = self._snapshot.workers
        shown = workers if len(workers) <= room else workers[: max(1, room - 1)]
        lanes = Table.grid(padding=(0, 2, 0, 0))
        lanes.add_column(no_wrap=True, overflow="ellipsis", max_width=max(8, width // 3))
        lanes.add_column(no_wrap=True)
        lanes.add_column(no_wrap=True, justify="right")
        if width >= 50:
            lanes.add_column(no_wrap=True, justify="right")
        for worker in shown:
            lanes.add_row(*self._lane(worker)[: len(lanes.columns)])
        if len(shown) < len(workers):
            lanes.add_row(Text(f"and {len(workers) - len(shown)} more", style="dim"))
        return lanes

    def _lane(self, worker: WorkerView) -> tuple[Text, Text, Text, Text]:
        name, finished = (
            Text(safe(worker.worker), style="cyan"),
            Text(f"{count(worker.done)} done", style="dim"),
        )
        if worker.index is None:
            return name, Text("idle", style="dim"), Text(), finished
        busy = max(0.0, self._snapshot.at - worker.since)
        style = "" if busy < 1 else "yellow" if busy < 10 else "bold red"
        return name, Text(f"item {worker.index}"), Text(duration(busy), style=style), finished


def _fitting(parts: Sequence[tuple[str, str]], width: int) -> Text:
    """As many parts as fit on the line, the first ones first."""
    text, used = Text(no_wrap=True, overflow="ellipsis"), 0
    for part, style in parts:
        gap = 3 if used else 0
        if used and used + gap + len(part) > width:
            break
        text.append(" " * gap).append(part, style=style)
        used += gap + len(part)
    return text


def _line(*parts: tuple[str, str]) -> Text:
    text = Text.assemble(*parts)
    text.no_wrap, text.overflow = True, "ellipsis"
    return text
