"""`everyitem prune`: give up what is stored of batches that finished long ago."""

from typing import Annotated

import msgspec
import typer

from everyitem.faces.cli import parameters as given
from everyitem.faces.cli.display.figures import count
from everyitem.faces.cli.opening import open_session
from everyitem.faces.cli.terminal import is_for_people, note, print_json, print_table


def prune(
    older_than: Annotated[
        float | None,
        typer.Option(
            "--older-than",
            metavar="DAYS",
            min=0.0,
            help="Days since the end of the execution; the setting retentionDays by default.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which ones.")] = False,
    store: given.StoreUrl = None,
    config: given.ConfigFile = None,
    as_json: given.AsJson = False,
) -> None:
    """Give up what is stored of batches that finished long ago.

    Items, outcomes, checkpoints and events go. The execution, its counts and its response stay, so the same
    document is still answered without running. Batches that are not finished are never touched, however old
    they are. Every run does this by itself for what is older than retentionDays (30 unless set).

    [bold]Examples[/bold]

      everyitem prune --dry-run
      everyitem prune --older-than 7
    """
    with open_session(store, config) as session:
        found = session.prune(older_than=older_than, dry_run=dry_run)
    if not is_for_people(as_json=as_json):
        print_json(msgspec.json.encode(found))
        return
    if not found:
        note("nothing has been finished for so long that it is to be pruned")
        return
    print_table(
        ("batch", "execution", "items", "finished"),
        [(one.batch_id, one.execution, count(one.items), one.finished_at or "") for one in found],
        right=(1, 2),
    )
    note("nothing was touched" if dry_run else "their counts and responses are kept")
