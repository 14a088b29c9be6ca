"""What run, resume, redrive and rerun have in common: signals, display, output and the exit code."""

import shlex
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

import typer

from everyitem.compose import Switch
from everyitem.engine.progress import Snapshot
from everyitem.faces.api.options import RunOptions
from everyitem.faces.api.response import Response
from everyitem.faces.api.session import ExecutionInterrupted, Session
from everyitem.faces.cli.display import make_display
from everyitem.faces.cli.display.summary import summary_lines
from everyitem.faces.cli.exits import ITEMS_FAILED, RESPONSE_ERROR
from everyitem.faces.cli.files import check_writable, write_whole
from everyitem.faces.cli.logs import logs_as_notes
from everyitem.faces.cli.opening import open_session
from everyitem.faces.cli.result_files import result_parts
from everyitem.faces.cli.signals import SignalInbox, listening
from everyitem.faces.cli.terminal import note, print_json, safe
from everyitem.faces.cli.wishes import Wishes

_MOST_CAUSES = 5


@dataclass
class _Watcher:
    """Keeps the last snapshot for the summary and passes each on to the display."""

    show: Callable[[Snapshot], None] | None
    last: Snapshot | None = field(default=None)

    def __call__(self, snapshot: Snapshot) -> None:
        self.last = snapshot
        if self.show is not None:
            self.show(snapshot)


def execute(title: str, wishes: Wishes, call: Callable[[Session, RunOptions], Response]) -> None:
    """Carry out `call` with a display, print the response, and end with the contract's exit code."""
    check_writable(wishes.out)
    check_writable(wishes.results)
    switch = Switch()
    with (
        logs_as_notes(),
        listening(switch) as signals,
        open_session(wishes.store, wishes.config, inbox=signals.requests) as session,
    ):
        display = None if wishes.no_progress else make_display(title)
        watcher = _Watcher(display)
        options = wishes.options()
        options["switch"], options["on_progress"] = switch, watcher
        try:
            with display or nullcontext():
                response = call(session, options)
        except ExecutionInterrupted as interrupted:
            _say_how_to_resume(interrupted, signals, wishes)
            raise typer.Exit(signals.exit_code) from None
        _deliver(response, wishes)
        if not wishes.no_progress:
            causes = _causes(response, watcher, session)
            for line in summary_lines(response, causes, store_option=_store_option(wishes)):
                note(line)
    raise typer.Exit(_exit_code(response, wishes))


def _causes(response: Response, watcher: _Watcher, session: Session) -> Sequence[tuple[str, int]]:
    """Why items failed: as the engine counted, or from the store where other runs or processes did."""
    seen = watcher.last.failures_by_cause if watcher.last is not None else ()
    if response.batch_id is None or not response.items_failed:
        return ()
    if sum(number for _, number in seen) != response.items_failed:
        seen = tuple(session.causes(response.batch_id, execution=response.execution))
    return seen[:_MOST_CAUSES]


def _deliver(response: Response, wishes: Wishes) -> None:
    """The response to standard output (and `--out`), the results to `--results`."""
    for warning in response.warnings:
        note(f"warning: {safe(warning)}")
    document = response.to_json().encode("utf-8")
    if wishes.out is not None:
        write_whole(wishes.out, [document, b"\n"])
    if wishes.results is not None:
        write_whole(wishes.results, result_parts(response.results(), as_csv=wishes.results.suffix == ".csv"))
    print_json(document)


def _exit_code(response: Response, wishes: Wishes) -> int:
    if response.status == "ERROR":
        return RESPONSE_ERROR
    return ITEMS_FAILED if wishes.fail_on_item_failure and response.items_failed else 0


def _say_how_to_resume(interrupted: ExecutionInterrupted, signals: SignalInbox, wishes: Wishes) -> None:
    name = signals.first.name if signals.first else "a stop"
    status = interrupted.status
    note(
        f"{safe(interrupted.batch_id)}: stopped by {name} with {status.succeeded + status.failed:,} of "
        f"{status.items:,} items recorded; continue with"
    )
    processors = "".join(f" --processors {shlex.quote(one)}" for one in wishes.processors or ())
    note(f"  everyitem resume {shlex.quote(safe(interrupted.batch_id))}{processors}{_store_option(wishes)}")


def _store_option(wishes: Wishes) -> str:
    return f" --store {shlex.quote(wishes.store)}" if wishes.store else ""
