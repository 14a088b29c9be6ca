"""`everyitem events`: what an execution has published."""

import time
from typing import Annotated

import typer

from everyitem.faces.cli import parameters as given
from everyitem.faces.cli.opening import open_looking
from everyitem.faces.cli.terminal import print_lines

_LOOK_EVERY = 0.25


def events(
    batch_id: given.BatchId,
    follow: Annotated[
        bool,
        typer.Option(
            "--follow", "-f", help="Wait for further events until the execution ends.", show_default=False
        ),
    ] = False,
    execution: given.ExecutionNumber = None,
    store: given.StoreUrl = None,
    config: given.ConfigFile = None,
    as_json: given.AsJson = False,  # noqa: ARG001 - it always is
) -> None:
    """Print the events of an execution.

    As CloudEvents, one JSON line each.

    [bold]Examples[/bold]

      everyitem events eod-2026-11-20
      everyitem events eod-2026-11-20 --follow | jq -c '{type, data}'
    """
    with open_looking(store, config) as session:
        after = 0
        while True:
            # the state is read first: an execution that has ended by then has all its events in the outbox
            active = session.status(batch_id, execution=execution).state.is_active
            found = session.events(batch_id, after=after, execution=execution)
            is_read = print_lines(event.to_json() for event in found)
            after = found[-1].sequence if found else after
            if not follow or not active or not is_read:
                return
            time.sleep(_LOOK_EVERY)
