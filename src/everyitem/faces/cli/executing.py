"""What run, resume, redrive and rerun have in common: signals, display, output and the exit code."""

import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field

import typer

from everyitem.compose import Switch
from everyitem.engine.progress import Snapshot
from everyitem.faces.api.conduct import Inbox
from everyitem.faces.api.executing import ExecutionInterrupted
from everyitem.faces.api.files import check_writable, keep_apart, write_whole
from everyitem.faces.api.options import RunOptions
from everyitem.faces.api.response import Response
from everyitem.faces.api.result_files import check_results_file, write_results
from everyitem.faces.api.session import Session
from everyitem.faces.cli.chosen import chosen_server
from everyitem.faces.cli.damage import Damage
from everyitem.faces.cli.display import make_display
from everyitem.faces.cli.display.summary import suggestion, summary_lines
from everyitem.faces.cli.exits import ITEMS_FAILED, RESPONSE_ERROR
from everyitem.faces.cli.logs import logs_on_stderr
from everyitem.faces.cli.opening import open_client, open_session
from everyitem.faces.cli.remote import Detached, RemoteExecutor
from everyitem.faces.cli.signals import SignalInbox, listening
from everyitem.faces.cli.streams import reserve_output
from everyitem.faces.cli.terminal import note, print_json, safe
from everyitem.faces.cli.wishes import Wishes
from everyitem.faces.supervision.link import Link, link
from everyitem.model.errors import EveryitemError, UsageError
from everyitem.model.store_url import shown_url
from everyitem.ports.observer import NoObserver, RunView


@dataclass
class _Watcher:
    """Keeps the last snapshot for the summary and passes each on to the display."""

    show: Callable[[Snapshot], None] | None
    last: Snapshot | None = field(default=None)

    def __call__(self, snapshot: Snapshot) -> None:
        self.last = snapshot
        if self.show is not None:
            self.show(snapshot)


class _Reporter(NoObserver):
    """Tells the supervisor what it must know, as it happens: a crash may be the very next thing."""

    def __init__(self, supervisor: Link) -> None:
        self._supervisor = supervisor

    def began(self, run: RunView) -> None:
        self._supervisor.carries_out(run.batch_id, run.execution)

    def saved(self, began: float, ended: float, segments: int) -> None:
        if segments:
            self._supervisor.progressed()


Executor = Session | RemoteExecutor


@contextmanager
def _open_executor(wishes: Wishes, inbox: Inbox) -> Iterator[Executor]:
    """Who carries the command out: the chosen server, or this process."""
    client = open_client(wishes.store)
    if client is not None:
        if wishes.metrics_port is not None:
            raise UsageError("--metrics-port does not go with --server: the server has its own metrics")
        with client:
            yield RemoteExecutor(client, inbox, log_format=wishes.log_format or "text")
    else:
        with open_session(
            wishes.store,
            wishes.config,
            inbox=inbox,
            observer=_Reporter(link()),
            settings=wishes.session(),
        ) as session:
            yield session


def execute(
    title: str,
    wishes: Wishes,
    call: Callable[[Executor, RunOptions], Response],
    *,
    reads: Sequence[object] = (),
) -> None:
    """Carry out `call` with a display, print the response, and end with the contract's exit code.

    `reads` are files it reads, which no output may replace.
    A process that was started because its predecessor has crashed goes on with what that one was at.
    """
    check_writable(wishes.out)
    check_results_file(wishes.results)
    reserve_output()
    switch, recovery = Switch(), link().recovery
    with (
        listening(switch, Inbox()) as signals,
        _open_executor(wishes, signals.requests) as executor,
        logs_on_stderr(executor.log_format),
        closing(executor),  # while its last alerts and spans are still heard of
    ):
        inputs = (*reads, *(wishes.processors or ()), wishes.config, getattr(executor, "store_url", None))
        keep_apart((wishes.out, wishes.results), inputs)
        if executor.metrics_address is not None:
            note(f"metrics: {executor.metrics_address}")
        display = None if wishes.no_progress else make_display(title, live=executor.log_format == "text")
        watcher = _Watcher(display)
        how = wishes.options()
        how["switch"], how["on_progress"] = switch, watcher
        try:
            with display or nullcontext():
                if recovery is not None and isinstance(executor, Session):
                    response = executor.recover(*recovery, **how)
                else:
                    response = call(executor, how)
        except Detached as detached:
            note(f"everyitem: {safe(detached)}; `everyitem watch` with the same --server shows how far it is")
            raise typer.Exit(signals.exit_code) from None
        except ExecutionInterrupted as interrupted:
            _say_how_to_resume(interrupted, signals, wishes)
            raise typer.Exit(signals.exit_code) from None
        except KeyboardInterrupt:
            note(f"everyitem: stopped by {signals.name} before anything ran")
            raise typer.Exit(signals.exit_code) from None
        delivered = _deliver(response, wishes)
        if not wishes.no_progress:
            causes = _causes(response, watcher, executor)
            options, executing = _same_options(wishes), _same_options(wishes, processors=True)
            for line in summary_lines(response, causes, options=options, executing=executing):
                note(line)
    raise typer.Exit(_exit_code(response, wishes) if delivered else RESPONSE_ERROR)


def _causes(response: Response, watcher: _Watcher, executor: Executor) -> Sequence[tuple[str, int]]:
    """Why items failed: as the engine counted, or from the store where other runs or processes did."""
    seen = watcher.last.failures_by_cause if watcher.last is not None else ()
    if response.batch_id is None or not response.items_failed:
        return ()
    if sum(number for _, number in seen) != response.items_failed:
        seen = tuple(executor.causes(response.batch_id, execution=response.execution))
    return seen


def _deliver(response: Response, wishes: Wishes) -> bool:
    """The response to standard output first, then the files; False when one of them could not be written."""
    for warning in response.warnings:
        note(f"warning: {safe(warning)}")
    document = response.to_json().encode("utf-8")
    written = [_written(lambda: print_json(document))]
    if (out := wishes.out) is not None:
        written.append(_written(lambda: write_whole(out, [document, b"\n"])))
    if (results := wishes.results) is not None:
        damage = Damage(response.batch_id or "")
        found = damage.counted(response.results(on_damage=damage))
        written.append(_written(lambda: write_results(results, found)))
        damage.say(response.items_processed)
        written.append(not damage)
    return all(written)


def _written(write: Callable[[], object]) -> bool:
    """Whether it went well. What cannot be written costs itself only: the batch is over and recorded."""
    try:
        write()
    except EveryitemError as error:
        note(f"everyitem: {safe(error)}")
        return False
    return True


def _exit_code(response: Response, wishes: Wishes) -> int:
    if response.status == "ERROR":
        return RESPONSE_ERROR
    return ITEMS_FAILED if wishes.fail_on_item_failure and response.items_failed else 0


def _say_how_to_resume(interrupted: ExecutionInterrupted, signals: SignalInbox, wishes: Wishes) -> None:
    status, batch_id = interrupted.status, safe(interrupted.batch_id)
    recorded = f"{status.succeeded + status.failed:,} of {status.items:,} items recorded"
    note(f"{batch_id}: stopped by {signals.name} with {recorded}; continue with")
    options = _same_options(wishes, processors=True)
    note(f"  {suggestion('resume', interrupted.batch_id, options=options)}")


def _same_options(wishes: Wishes, *, processors: bool = False) -> str:
    """The options that make a suggested command work as printed (but for a password in a store's URL)."""
    options = [("--processors", one) for one in wishes.processors or () if processors]
    options += [("--store", shown_url(wishes.store))] if wishes.store else []
    options += [("--config", str(wishes.config))] if wishes.config else []
    options += [("--server", shown_url(server))] if (server := chosen_server()) else []
    return "".join(f" {name} {shlex.quote(value)}" for name, value in options)
