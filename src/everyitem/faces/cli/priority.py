"""`everyitem priority`: who goes first in a service."""

from typing import Annotated

import typer

from everyitem.faces.cli import parameters as given
from everyitem.faces.cli.opening import open_looking
from everyitem.faces.cli.status import print_status
from everyitem.model.configuration import Priority


def priority(
    batch_id: given.BatchId,
    level: Annotated[
        Priority, typer.Argument(metavar="LEVEL", case_sensitive=False, help="LOW, NORMAL, HIGH or CRITICAL.")
    ],
    execution: given.ExecutionNumber = None,
    store: given.StoreUrl = None,
    config: given.ConfigFile = None,
    as_json: given.AsJson = False,
) -> None:
    """Change the priority of a batch in a service.

    It decides which of the waiting batches goes first, and which of the running ones shrinks for another.
    Works from any process on the same store.

    [bold]Example[/bold]

      everyitem priority eod-2026-11-20 HIGH
    """
    with open_looking(store, config) as session:
        print_status(session.set_priority(batch_id, level, execution=execution), as_json=as_json)
