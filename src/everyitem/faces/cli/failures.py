"""`everyitem failures`: the items that count as failed, and why."""

from itertools import chain, islice

from everyitem.faces.cli import parameters as given
from everyitem.faces.cli.display.figures import count
from everyitem.faces.cli.opening import open_looking
from everyitem.faces.cli.terminal import is_for_people, note, print_lines, print_table

#: A person reads a page; programs get everything.
_SHOWN = 50


def failures(
    batch_id: given.BatchId,
    execution: given.ExecutionNumber = None,
    store: given.StoreUrl = None,
    config: given.ConfigFile = None,
    as_json: given.AsJson = False,
) -> None:
    """List the failed items, and those in doubt.

    Those that count as failed now, in item order, then those to be settled; JSON lines when piped or
    with --json.

    [bold]Examples[/bold]

      everyitem failures eod-2026-11-20
      everyitem failures eod-2026-11-20 --json | jq -r .error.message | sort | uniq -c
    """
    with open_looking(store, config) as session:
        status = session.status(batch_id, execution=execution)
        found = session.failures(batch_id, execution=execution)
        in_doubt = session.in_doubt(batch_id, execution=execution)
        if not is_for_people(as_json=as_json):
            print_lines(failed.to_json() for failed in chain(found, in_doubt))
            return
        if in_doubt:
            print_table(
                ("item in doubt", "attempt", "why"),
                ((one.item_id, one.attempts, one.error.message) for one in in_doubt[:_SHOWN]),
                right=(1,),
            )
            if len(in_doubt) > _SHOWN:
                note(f"and {count(len(in_doubt) - _SHOWN)} more; --json prints all of them")
        if not status.failed:
            note(f"no item has failed ({status.state})")
            return
        print_table(
            ("item", "attempts", "error", "message"),
            (
                (
                    failed.item_id,
                    failed.attempts,
                    f"{failed.error.code} {failed.error.type}",
                    failed.error.message,
                )
                for failed in islice(found, _SHOWN)
            ),
            right=(1,),
        )
        if status.failed > _SHOWN:
            note(f"and {count(status.failed - _SHOWN)} more; --json prints all of them")
