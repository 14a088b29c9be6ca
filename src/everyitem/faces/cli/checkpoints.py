"""`everyitem checkpoints`: the durable points of an execution."""

import msgspec

from everyitem.faces.cli import parameters as given
from everyitem.faces.cli.display.figures import count, moment
from everyitem.faces.cli.opening import open_looking
from everyitem.faces.cli.terminal import is_for_people, note, print_json, print_table


def checkpoints(
    batch_id: given.BatchId,
    execution: given.ExecutionNumber = None,
    store: given.StoreUrl = None,
    config: given.ConfigFile = None,
    as_json: given.AsJson = False,
) -> None:
    """List the checkpoints of an execution.

    What each recorded, when, and its digest.

    [bold]Example[/bold]

      everyitem checkpoints eod-2026-11-20
    """
    with open_looking(store, config) as session:
        found = list(session.checkpoints(batch_id, execution=execution))
    if not is_for_people(as_json=as_json):
        print_json(msgspec.json.encode(found))
    elif not found:
        note("no checkpoint yet")
    else:
        print_table(
            ("checkpoint", "round", "written at", "succeeded", "failed", "bytes", "digest"),
            (
                (
                    one.sequence,
                    one.round,
                    moment(one.created_at),
                    count(one.succeeded),
                    count(one.failed),
                    count(one.size),
                    one.digest[:12],
                )
                for one in found
            ),
            right=(0, 1, 3, 4, 5),
            whole=(6,),
        )
