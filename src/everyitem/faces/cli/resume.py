"""`everyitem resume`: go on with an execution that was stopped."""

from typing import Annotated

import typer

from everyitem.faces.cli import parameters as given
from everyitem.faces.cli.executing import execute
from everyitem.faces.cli.wishes import Wishes, with_wishes


@with_wishes
def resume(
    wishes: Wishes,
    batch_id: given.BatchId,
    execution: given.ExecutionNumber = None,
    accept_damage: Annotated[
        bool,
        typer.Option(
            "--accept-damage",
            help="Process the items of damaged checkpoints again instead of refusing to go on.",
            show_default=False,
        ),
    ] = False,
    for_service: Annotated[bool, typer.Option("--for-service", hidden=True)] = False,
) -> None:
    """Go on with an execution that was stopped.

    Also one that is paused, was cancelled, or ended with an ERROR. Items with a recorded outcome never run
    again. A paused execution goes on in the process that holds it; this command then waits for its response.

    [bold]Examples[/bold]

      everyitem resume eod-2026-11-20 --processors processors.py
      everyitem resume eod-2026-11-20 --timeout-hours 8 --parallelism 20
    """
    execute(
        batch_id,
        wishes,
        lambda session, options: session.resume(
            batch_id,
            execution=execution,
            accept_damage=accept_damage,
            for_service=for_service,
            **options,
        ),
    )
