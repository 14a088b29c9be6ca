"""`everyitem results`: every item's recorded outcome, in item order."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from everyitem.faces.api.files import check_writable, keep_apart, write_whole
from everyitem.faces.api.result_files import check_parquet, result_parts
from everyitem.faces.cli import parameters as given
from everyitem.faces.cli.damage import Damage
from everyitem.faces.cli.exits import RESPONSE_ERROR
from everyitem.faces.cli.opening import open_looking
from everyitem.faces.cli.terminal import note, safe, write_out
from everyitem.model.errors import UsageError


class ResultFormat(StrEnum):
    """Formats of a results file."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


def results(
    batch_id: given.BatchId,
    file_format: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="jsonl|csv|parquet",
            help="JSON lines by default; CSV and Parquet for --out *.csv and *.parquet.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write to this file instead.", show_default=False),
    ] = None,
    execution: given.ExecutionNumber = None,
    store: given.StoreUrl = None,
    config: given.ConfigFile = None,
    as_json: given.AsJson = False,
) -> None:
    """Print every item's recorded outcome.

    One line per item, in item order. Before the end, what is recorded so far; standard error then says how
    much of the batch that is.

    [bold]Examples[/bold]

      everyitem results eod-2026-11-20 | head
      everyitem results eod-2026-11-20 --format csv --out results.csv
    """
    wanted = _format(file_format or (ResultFormat.JSONL if as_json else None), out)
    check_writable(out)
    with open_looking(store, config) as session:
        keep_apart((out,), (getattr(session, "store_url", None), config))
        status = session.status(batch_id, execution=execution)
        recorded = status.succeeded + status.failed
        damage = Damage(batch_id)
        found = damage.counted(session.results(batch_id, execution=execution, on_damage=damage))
        parts = result_parts(found, wanted)
        if out is None:
            write_out(parts)
        else:
            write_whole(out, parts)
            note(f"{damage.read:,} results written to {safe(out)}")
        if recorded < status.items:
            note(f"{recorded:,} of {status.items:,} items have an outcome; the batch is {status.state}")
        damage.say(recorded)
    if damage:
        raise typer.Exit(RESPONSE_ERROR)


def _format(name: str | None, out: Path | None) -> ResultFormat:
    suffix = "" if out is None else out.suffix.removeprefix(".")
    wanted = name or (suffix if suffix in set(ResultFormat) else ResultFormat.JSONL)
    if wanted not in set(ResultFormat):
        raise UsageError(f"--format {name!r}: the formats are {', '.join(ResultFormat)}")
    if wanted == ResultFormat.PARQUET:
        check_parquet()
    return ResultFormat(wanted)
