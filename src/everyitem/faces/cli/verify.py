"""`everyitem verify`: prove what is stored of an execution."""

import typer

from everyitem.faces.cli import parameters as given
from everyitem.faces.cli.exits import RESPONSE_ERROR
from everyitem.faces.cli.opening import open_looking
from everyitem.faces.cli.terminal import is_for_people, note, print_json, safe


def verify(
    batch_id: given.BatchId,
    execution: given.ExecutionNumber = None,
    store: given.StoreUrl = None,
    config: given.ConfigFile = None,
    as_json: given.AsJson = False,
) -> None:
    """Check everything stored of an execution.

    Against its digests and counts; exits with 1 on a fault. Reads only, and may be used while the batch runs.

    [bold]Example[/bold]

      everyitem verify eod-2026-11-20
    """
    with open_looking(store, config) as session:
        found = session.verify(batch_id, execution=execution)
    if not is_for_people(as_json=as_json):
        print_json(found.to_json())
    elif found.sound:
        note(f"{safe(found.batch_id)}, execution {found.execution}: everything stored is sound")
    else:
        for fault in found.faults:
            note(f"fault: {safe(fault)}")
        note(
            "what a damaged checkpoint held can be processed again: everyitem resume BATCH_ID --accept-damage"
        )
    if not found.sound:
        raise typer.Exit(RESPONSE_ERROR)
