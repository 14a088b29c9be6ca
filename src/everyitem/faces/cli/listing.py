"""`everyitem list`: every execution of the store."""

import msgspec

from everyitem.faces.cli import parameters as given
from everyitem.faces.cli.display.figures import count, moment, percent
from everyitem.faces.cli.opening import open_looking
from everyitem.faces.cli.terminal import is_for_people, note, print_json, print_table


def list_executions(
    store: given.StoreUrl = None,
    config: given.ConfigFile = None,
    as_json: given.AsJson = False,
) -> None:
    """List every execution in the store.

    The newest comes first.

    [bold]Examples[/bold]

      everyitem list
      everyitem list --json | jq '.[] | select(.failed > 0).batchId'
    """
    with open_looking(store, config) as session:
        found = session.list()
    if not is_for_people(as_json=as_json):
        print_json(msgspec.json.encode(found))
    elif not found:
        note("no batch has been executed in this store yet")
    else:
        print_table(
            ("batch", "execution", "state", "items", "done", "failed", "last checkpoint"),
            (
                (
                    one.batch_id,
                    one.execution,
                    one.state,
                    count(one.items),
                    percent(one.succeeded + one.failed, one.items),
                    count(one.failed),
                    moment(one.last_checkpoint),
                )
                for one in found
            ),
            right=(1, 3, 4, 5),
            whole=(2,),
        )
