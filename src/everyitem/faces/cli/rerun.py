"""`everyitem rerun`: execute a stored batch once more from the beginning."""

from everyitem.faces.cli import parameters as given
from everyitem.faces.cli.executing import execute
from everyitem.faces.cli.wishes import Wishes, with_wishes


@with_wishes
def rerun(
    wishes: Wishes,
    batch_id: given.BatchId,
    execution: given.ExecutionNumber = None,
) -> None:
    """Execute a stored batch once more from the beginning.

    It becomes the batch's next execution. The former ones stay; `--execution N` of the other commands looks
    at them.

    [bold]Example[/bold]

      everyitem rerun eod-2026-11-20 --processors processors.py
    """
    execute(
        batch_id, wishes, lambda session, options: session.rerun(batch_id, execution=execution, **options)
    )
