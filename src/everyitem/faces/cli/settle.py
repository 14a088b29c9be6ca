"""`everyitem settle`: say what became of an item in doubt."""

from typing import Annotated

import msgspec
import typer

from everyitem.faces.cli import parameters as given
from everyitem.faces.cli.opening import open_looking
from everyitem.faces.cli.status import print_status
from everyitem.model.errors import UsageError


def settle(
    batch_id: given.BatchId,
    item_id: given.ItemId,
    succeeded: Annotated[bool, typer.Option("--succeeded", help="It was processed.")] = False,
    failed: Annotated[bool, typer.Option("--failed", help="It was not, and counts as failed.")] = False,
    again: Annotated[bool, typer.Option("--again", help="It may be called again.")] = False,
    result: Annotated[
        str | None,
        typer.Option("--result", metavar="JSON", help="Its result, with --succeeded.", show_default=False),
    ] = None,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="How you know; kept for explain.")
    ] = "",
    execution: given.ExecutionNumber = None,
    store: given.StoreUrl = None,
    config: given.ConfigFile = None,
    as_json: given.AsJson = False,
) -> None:
    """Settle an item in doubt.

    With at-most-once delivery, an item whose worker died, or that was running at a crash, may or may not
    have been processed. It is not called again until a person has looked and says what became of it. Works
    while the batch runs, and when it does not; then `everyitem resume` goes on.

    [bold]Examples[/bold]

      everyitem settle payments t-17 --succeeded --result '{"paid": true}' --reason "seen at the bank"
      everyitem settle payments t-18 --again --reason "the bank knows nothing of it"
    """
    if succeeded + failed + again != 1:
        raise UsageError("say what became of the item: exactly one of --succeeded, --failed and --again")
    try:
        value = None if result is None else msgspec.json.decode(result)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as problem:
        raise UsageError(f"--result is not JSON: {problem}") from problem
    with open_looking(store, config) as session:
        status = session.settle(
            batch_id,
            item_id,
            succeeded=succeeded,
            failed=failed,
            again=again,
            result=value,
            reason=reason,
            execution=execution,
        )
        print_status(status, as_json=as_json)
