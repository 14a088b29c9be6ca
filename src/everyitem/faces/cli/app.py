"""The `everyitem` command: finds the subcommand, and turns errors into messages and exit codes.

Only the subcommand that was asked for is imported; the others are known by a line of help. That keeps
`everyitem --help` and every single command quick to start.
"""

import atexit
import inspect
import os
import re
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from everyitem.faces.cli.chosen import choose_server
from everyitem.faces.cli.exits import RESPONSE_ERROR, USAGE
from everyitem.faces.cli.signals import raise_on_signals
from everyitem.faces.cli.streams import discard, open_missing
from everyitem.faces.cli.supervise import supervise, wants_supervision
from everyitem.faces.cli.terminal import note, safe
from everyitem.faces.supervision.link import accept, link
from everyitem.model.errors import EveryitemError, UsageError

_HELP = """
Batch execution where every item is accounted for.

A batch document and a Python item processor go in, every item is processed in parallel, and a response that
adds up comes out. Killed anywhere, the same command goes on from the last checkpoint.

[bold]Example[/bold]

  everyitem run batch.json --processors processors.py
"""

_EXECUTE, _STEER, _LOOK, _PREPARE, _SERVE = "Execute", "Steer", "Look", "Prepare and check", "Serve"


@dataclass(frozen=True, slots=True)
class Subcommand:
    """Where a subcommand is implemented, and what the overview says about it."""

    panel: str
    #: `module:function` below this package.
    where: str
    #: The first sentence of the function's docstring.
    summary: str

    def load(self) -> Callable[..., None]:
        """Import the function."""
        module, _, function = self.where.partition(":")
        loaded: Callable[..., None] = getattr(import_module(f"everyitem.faces.cli.{module}"), function)
        return loaded


SUBCOMMANDS = {
    "run": Subcommand(_EXECUTE, "run:run", "Execute a batch, or go on with it."),
    "resume": Subcommand(_EXECUTE, "resume:resume", "Go on with an execution that was stopped."),
    "redrive": Subcommand(_EXECUTE, "redrive:redrive", "Run only the failed items again."),
    "rerun": Subcommand(_EXECUTE, "rerun:rerun", "Execute a stored batch once more from the beginning."),
    "pause": Subcommand(_STEER, "pausing:pause", "Let a running execution rest."),
    "cancel": Subcommand(_STEER, "cancelling:cancel", "Cancel an execution."),
    "settle": Subcommand(_STEER, "settle:settle", "Settle an item in doubt."),
    "priority": Subcommand(_STEER, "priority:priority", "Change the priority of a batch in a service."),
    "list": Subcommand(_LOOK, "listing:list_executions", "List every execution in the store."),
    "status": Subcommand(_LOOK, "status:status", "Say where an execution stands."),
    "watch": Subcommand(_LOOK, "watch:watch", "Watch an execution from another terminal."),
    "results": Subcommand(_LOOK, "results:results", "Print every item's recorded outcome."),
    "failures": Subcommand(_LOOK, "failures:failures", "List the failed items, and those in doubt."),
    "explain": Subcommand(_LOOK, "explain:explain", "Tell the whole story of one item."),
    "history": Subcommand(_LOOK, "history:history", "Tell who did what to a batch, and when."),
    "checkpoints": Subcommand(_LOOK, "checkpoints:checkpoints", "List the checkpoints of an execution."),
    "verify": Subcommand(_LOOK, "verify:verify", "Check everything stored of an execution."),
    "events": Subcommand(_LOOK, "events:events", "Print the events of an execution, or push some."),
    "report": Subcommand(_LOOK, "report:report", "Make the report of an execution."),
    "alerts": Subcommand(_LOOK, "alerts:alerts", "List alerts, acknowledge one, or silence some."),
    "plan": Subcommand(_PREPARE, "plan:plan", "Validate and partition a batch without running it."),
    "schema": Subcommand(_PREPARE, "schema:schema", "Print a JSON Schema."),
    "serve": Subcommand(_SERVE, "serve:serve", "Run batches for a team, over HTTP."),
    "token": Subcommand(_SERVE, "token:token", "Make, list and revoke access tokens."),
    "member": Subcommand(_SERVE, "member:member", "Be a calculation node of the Cyoda platform."),
    "cyoda": Subcommand(_PREPARE, "cyoda:cyoda", "Prepare a Cyoda platform for batches."),
    "prune": Subcommand(_PREPARE, "prune:prune", "Give up what is stored of batches that finished long ago."),
    "doctor": Subcommand(_PREPARE, "doctor:doctor", "Check this machine and the store."),
    "simulate": Subcommand(_PREPARE, "simulate:simulate", "Play bad days with the engine."),
}


#: Commands that may run under a supervisor.
SUPERVISED = frozenset(name for name, command in SUBCOMMANDS.items() if command.panel == _EXECUTE)

#: Commands that have nothing to ask a server for.
_ON_THIS_MACHINE = frozenset(
    ("plan", "schema", "member", "cyoda", "prune", "report", "doctor", "simulate", "serve")
)


class _Commands(TyperGroup):
    """The subcommands, whose wrong values are said without the words of the library that checks them."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = error.message.removeprefix("Value error, ")
            raise


def build_app(*, loaded: frozenset[str] = frozenset(SUBCOMMANDS)) -> typer.Typer:
    """The command with its subcommands; those not in `loaded` are there by name and summary only."""
    app = typer.Typer(
        cls=_Commands,
        name="everyitem",
        help=_flow(_HELP),
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_everyitem)
    for name, subcommand in SUBCOMMANDS.items():
        function = subcommand.load() if name in loaded else _not_loaded
        text = _flow(function.__doc__ or "") if name in loaded else subcommand.summary
        app.command(name, help=text, rich_help_panel=subcommand.panel)(function)
    return app


def main() -> None:
    """Run the command line and exit; errors become one message on standard error."""
    accept(_get_ready)
    code = _run(sys.argv[1:] or ["--help"])
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        note(f"everyitem: standard output cannot be written: {error.strerror}")
        code = code or RESPONSE_ERROR
        discard(1)
    link().ends(code)
    if _has_leftovers():
        # a thread some item has left behind would keep us waiting, for ever perhaps; all is delivered
        atexit._run_exitfuncs()  # noqa: SLF001 - there is no public way to end in good order but not wait
        os._exit(code)
    sys.exit(code)


def _get_ready() -> None:
    """Import what executing takes, before it is known whether anything will be executed."""
    # not at the top: a process in reserve has the time, others have not
    from everyitem.compose.ahead import import_ahead

    named = [argument for argument in sys.argv[1:] if argument in SUPERVISED][:1]
    import_ahead()
    typer.main.get_command(build_app(loaded=frozenset(named)))


def _run(arguments: Sequence[str]) -> int:
    """Carry the command out; returns its exit code."""
    try:
        open_missing()
        arguments, server = take_server(arguments)
        named = next((argument for argument in arguments if not argument.startswith("-")), "")
        if server is not None and named in _ON_THIS_MACHINE:
            raise UsageError(f"--server does not go with {named}, which works on this machine")
        choose_server(server)
        if named in SUPERVISED and wants_supervision(arguments):
            return supervise(arguments)
        app = build_app(loaded=frozenset({named} if named in SUBCOMMANDS else ()))
        raise_on_signals()
        app(arguments, prog_name="everyitem")
    except UsageError as error:
        note(f"everyitem: {safe(error)}")
        return USAGE
    except EveryitemError as error:
        note(f"everyitem: {error.code}: {safe(error)}")
        return RESPONSE_ERROR
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        if isinstance(error, FileNotFoundError) and error.filename is None and _is_nowhere():
            note("everyitem: the folder this command was started in is gone; change to one that is there")
            return USAGE
        note(f"everyitem: {safe(error)}")
        return RESPONSE_ERROR
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0
    return 0


def _is_nowhere() -> bool:
    """Whether the working directory was removed, where relative paths lead nowhere."""
    try:
        os.getcwd()  # noqa: PTH109 - whether it raises is the question
    except FileNotFoundError:
        return True
    return False


def take_server(arguments: Sequence[str]) -> tuple[list[str], str | None]:
    """The arguments without `--server URL`, which may stand before the command and behind it; and the URL.

    Raises:
        UsageError: it is given without a URL.
    """
    left: list[str] = []
    server, rest = None, iter(arguments)
    for argument in rest:
        if argument == "--":
            left += (argument, *rest)
        elif argument == "--server":
            server = next(rest, "")
        elif argument.startswith("--server="):
            server = argument.removeprefix("--server=")
        else:
            left.append(argument)
    if server == "":
        raise UsageError("--server needs the server's URL: --server http://127.0.0.1:8484")
    return left, server


def _has_leftovers() -> bool:
    """Whether threads are left that the interpreter would wait for at its end."""
    return any(
        not thread.daemon and thread is not threading.main_thread() for thread in threading.enumerate()
    )


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"everyitem {version('everyitem')}")
        raise typer.Exit


def _everyitem(
    version: bool = typer.Option(
        False,
        "--version",
        help="Print the version.",
        callback=_print_version,
        is_eager=True,
        show_default=False,
    ),
    server: str = typer.Option(
        "",
        "--server",
        metavar="URL",
        help="Work on the store of an `everyitem serve`, with the token in EVERYITEM_API_TOKEN. "
        "May stand behind the command, too.",
        show_default=False,
    ),
) -> None:
    """Options of the command as a whole."""


def _not_loaded() -> None:
    """Stands for a subcommand that was not asked for."""


def _flow(text: str) -> str:
    """Each paragraph as one line, for the terminal to wrap; indented lines (examples) stay as they are.

    Of markup there is bold; other brackets are meant, as in the name of a table of the configuration.
    """
    flowing = re.sub(r"(?<=\S)\n(?=\S)", " ", inspect.cleandoc(text))
    return re.sub(r"\[(?!/?bold\])", r"\\[", flowing)
