"""`everyitem history`: who did what to a batch."""

import msgspec

from everyitem.faces.cli import parameters as given
from everyitem.faces.cli.display.figures import moment
from everyitem.faces.cli.opening import open_looking
from everyitem.faces.cli.terminal import is_for_people, print_lines, print_table


def history(
    batch_id: given.BatchId,
    execution: given.ExecutionNumber = None,
    store: given.StoreUrl = None,
    config: given.ConfigFile = None,
    as_json: given.AsJson = False,
) -> None:
    """Tell who did what to a batch, and when.

    Submissions to a service, pauses, cancellations, redrives, settlements and whatever else people do, from
    any face, the oldest first; JSON lines when piped or with --json.

    [bold]Examples[/bold]

      everyitem history eod-2026-11-20
      everyitem history eod-2026-11-20 --json | jq .actor
    """
    with open_looking(store, config) as session:
        deeds = session.history(batch_id, execution=execution)
    if not is_for_people(as_json=as_json):
        print_lines(deed.to_json() for deed in deeds)
        return
    rows = [
        (
            moment(deed.at),
            deed.actor,
            deed.action,
            msgspec.json.encode(deed.detail).decode() if deed.detail else "",
        )
        for deed in deeds
    ]
    print_table(("when", "who", "what", "particulars"), rows)
