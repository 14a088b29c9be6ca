"""`everyitem pause`: let a running execution rest."""

from everyitem.faces.cli import parameters as given
from everyitem.faces.cli.opening import open_looking
from everyitem.faces.cli.status import print_status


def pause(
    batch_id: given.BatchId,
    execution: given.ExecutionNumber = None,
    store: given.StoreUrl = None,
    config: given.ConfigFile = None,
    as_json: given.AsJson = False,
) -> None:
    """Let a running execution rest.

    Items in flight finish, a checkpoint is written, and nothing new starts until `everyitem resume`. Works
    from any process on the same store.

    [bold]Example[/bold]

      everyitem pause eod-2026-11-20
    """
    with open_looking(store, config) as session:
        print_status(session.pause(batch_id, execution=execution), as_json=as_json)
