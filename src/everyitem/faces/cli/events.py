"""`everyitem events`: what an execution has published, and what others tell it (`events push`)."""

import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from everyitem.faces.api.actor import local_actor
from everyitem.faces.api.incoming import Receipt, Taken
from everyitem.faces.cli import parameters as given
from everyitem.faces.cli.exits import RESPONSE_ERROR
from everyitem.faces.cli.opening import open_client, open_looking, open_session
from everyitem.faces.cli.terminal import note, print_lines, safe
from everyitem.model.errors import UsageError

if TYPE_CHECKING:
    from everyitem.faces.service.inlet import Inlet

_LOOK_EVERY = 0.25
#: Events read at a time: a batch has one for each item that failed.
_AT_ONCE = 1000


def events(
    batch_id: Annotated[
        str,
        typer.Argument(metavar="BATCH_ID", help="The batch's `batchId`; `push` to send.", show_default=False),
    ],
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="With `push`: the events; `-` reads them.", show_default=False),
    ] = None,
    follow: Annotated[
        bool,
        typer.Option(
            "--follow", "-f", help="Wait for further events until the execution ends.", show_default=False
        ),
    ] = False,
    resend: Annotated[
        bool,
        typer.Option("--resend", help="Offer events that were given up once more.", show_default=False),
    ] = False,
    execution: given.ExecutionNumber = None,
    processors: given.Processors = None,
    store: given.StoreUrl = None,
    config: given.ConfigFile = None,
    as_json: given.AsJson = False,  # noqa: ARG001 - it always is
) -> None:
    """Print the events of an execution, or push some.

    As CloudEvents, one JSON line each. `push` takes in the events of a file: one, an array, or one on each
    line. An `ItemProcessingCompleted` completes an item that was `Deferred`, a `ResourcesAllocated` changes
    the nodes of a running batch, a `BatchInitialized` hands a batch to the services of this store. Each
    counts once, by its source and id. What became of each is printed; refused ones make
    the exit code 1.

    [bold]Examples[/bold]

      everyitem events eod-2026-11-20
      everyitem events eod-2026-11-20 --follow | jq -c '{type, data}'
      everyitem events push completed.jsonl
      everyitem events eod-2026-11-20 --resend
    """
    if file is not None:
        if batch_id != "push" or follow or resend or execution is not None:
            raise UsageError("a FILE belongs to `everyitem events push FILE`, with no other option")
        push(file, processors=processors, store=store, config=config)
        return
    if resend:
        with open_session(store, config) as session:
            note(f"{session.resend(batch_id):,} events of batch {safe(batch_id)} will be offered again")
        return
    with open_looking(store, config) as session:
        after = 0
        while True:
            # the state is read first: an execution that has ended by then has all its events in the outbox
            active = session.status(batch_id, execution=execution).state.is_active
            found = session.events(batch_id, after=after, execution=execution, limit=_AT_ONCE)
            is_read = print_lines(event.to_json() for event in found)
            after = found[-1].sequence if found else after
            if not is_read:
                return
            if len(found) == _AT_ONCE:
                continue
            if not follow or not active:
                return
            time.sleep(_LOOK_EVERY)


def push(file: Path, *, processors: list[str] | None, store: str | None, config: Path | None) -> None:
    """Take in the events of a file, and say what became of each."""
    try:
        text = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file}: the events cannot be read: {error.strerror}") from error
    client = open_client(store)
    if client is not None:
        with client:
            receipts = client.push(text)
    else:
        with open_session(store, config) as session:
            receipts = _inlet(session.store_url, processors, config).push(text)
    print_lines(receipt.to_json() for receipt in receipts)
    note(_summary(receipts))
    if any(receipt.state is Taken.REFUSED for receipt in receipts):
        raise typer.Exit(RESPONSE_ERROR)


def _inlet(store_url: str, processors: list[str] | None, config: Path | None) -> "Inlet":
    from everyitem.faces.service.catalogue import Catalogue
    from everyitem.faces.service.inlet import Inlet
    from everyitem.faces.service.intake import Intake
    from everyitem.settings import load_settings

    settings = load_settings(
        None if config is None else str(config), processors=tuple(processors) if processors else None
    )
    # who can push into a store can read what its documents name
    intake = Intake(settings, Catalogue(settings.processors), allow_sources=True)
    return Inlet(store_url, intake, local_actor())


def _summary(receipts: Sequence[Receipt]) -> str:
    counts = Counter(receipt.state for receipt in receipts)
    return ", ".join(f"{counts[state]:,} {state.lower()}" for state in Taken)
