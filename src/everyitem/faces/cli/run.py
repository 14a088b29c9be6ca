"""`everyitem run`: execute a batch document, or go on with it, or print what was recorded."""

from pathlib import Path
from typing import Annotated

import typer

from everyitem.faces.cli import parameters as given
from everyitem.faces.cli.executing import execute
from everyitem.faces.cli.wishes import Wishes, with_wishes


@with_wishes
def run(
    wishes: Wishes,
    batch: given.BatchFile,
    items: Annotated[
        Path | None,
        typer.Option(
            "--items",
            metavar="FILE",
            help="Take the items from this .jsonl, .csv or .parquet file instead.",
            show_default=False,
        ),
    ] = None,
    rerun: Annotated[
        bool,
        typer.Option(
            "--rerun", help="Start a new execution although there is one already.", show_default=False
        ),
    ] = False,
) -> None:
    """Execute a batch, or go on with it.

    Every item is processed, and the response says what came of them. The same command again goes on where
    an interrupted execution stopped, and prints the recorded response of a finished one. The response goes
    to standard output, progress to standard error.

    Exit codes: 0 success (also with failed items), 1 an ERROR response, 2 wrong usage, 3 items failed and
    --fail-on-item-failure was given, 130, 143 or 129 stopped by SIGINT, SIGTERM or SIGHUP after a checkpoint.

    [bold]Examples[/bold]

      everyitem run batch.json --processors processors.py
      everyitem run batch.json --processors my.module --nodes process --parallelism 8
      make-batch | everyitem run - --results results.csv > response.json
    """
    title = "standard input" if batch == "-" else Path(batch).name
    execute(
        title,
        wishes,
        lambda session, options: session.run(batch, items=items, rerun=rerun, **options),
        reads=(batch, items),
    )
