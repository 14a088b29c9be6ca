"""`everyitem redrive`: run only the failed items again."""

from pathlib import Path
from typing import Annotated

import typer

from everyitem.faces.cli import parameters as given
from everyitem.faces.cli.executing import execute
from everyitem.faces.cli.wishes import Wishes, with_wishes


@with_wishes
def redrive(
    wishes: Wishes,
    batch_id: given.BatchId,
    error: Annotated[
        str | None,
        typer.Option(
            "--error",
            metavar="TEXT",
            help="Only items whose failure (code, type or message) contains this text.",
            show_default=False,
        ),
    ] = None,
    item: Annotated[
        list[str] | None,
        typer.Option("--item", metavar="ID", help="Only this item; may be repeated.", show_default=False),
    ] = None,
    items: Annotated[
        Path | None,
        typer.Option(
            "--items",
            metavar="FILE",
            help="Corrected items as JSON lines, each with its itemId; only these run.",
            show_default=False,
        ),
    ] = None,
    execution: given.ExecutionNumber = None,
) -> None:
    """Run only the failed items again.

    They run as the execution's next round, with a fresh retry budget; what succeeded stays. With nothing to
    redrive the recorded response is printed. Earlier rounds stay visible in `explain`.

    [bold]Examples[/bold]

      everyitem redrive eod-2026-11-20 --processors processors.py
      everyitem redrive eod-2026-11-20 --error TIMEOUT_ERROR --max-retries 5
      everyitem redrive eod-2026-11-20 --items corrected.jsonl
    """
    execute(
        batch_id,
        wishes,
        lambda session, options: session.redrive(
            batch_id, execution=execution, error=error, item_ids=item or (), items=items, **options
        ),
        reads=(items,),
    )
