"""`everyitem cancel`: stop an execution for now."""

from everyitem.faces.cli import parameters as given
from everyitem.faces.cli.opening import open_looking
from everyitem.faces.cli.status import print_status


def cancel(
    batch_id: given.BatchId,
    execution: given.ExecutionNumber = None,
    store: given.StoreUrl = None,
    config: given.ConfigFile = None,
    as_json: given.AsJson = False,
) -> None:
    """Cancel an execution.

    Items in flight finish, a checkpoint is written, and its `run` ends with an ERROR. Nothing recorded is
    lost; `everyitem resume` may still go on. Works from any process on the same store.

    [bold]Example[/bold]

      everyitem cancel eod-2026-11-20
    """
    with open_looking(store, config) as session:
        print_status(session.cancel(batch_id, execution=execution), as_json=as_json)
