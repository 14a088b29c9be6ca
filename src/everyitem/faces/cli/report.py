"""`everyitem report`: one page about an execution that can be signed."""

from pathlib import Path
from typing import Annotated

import typer

from everyitem.faces.api.files import check_writable, keep_apart, write_whole
from everyitem.faces.api.report.page import render
from everyitem.faces.cli import parameters as given
from everyitem.faces.cli.opening import open_session
from everyitem.faces.cli.terminal import note, print_json, safe


def report(
    batch_id: given.BatchId,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", help="Write the page to this file instead.", show_default=False
        ),
    ] = None,
    execution: given.ExecutionNumber = None,
    store: given.StoreUrl = None,
    config: given.ConfigFile = None,
    as_json: given.AsJson = False,
) -> None:
    """Make the report of an execution.

    One HTML page to read, print and sign: counts, control totals, checks, throughput, failures, checkpoints.
    Everything stored is checked anew for it. Of an execution that has not finished it says so.

    [bold]Examples[/bold]

      everyitem report eod-2026-11-20 --out report.html
      everyitem report eod-2026-11-20 --json | jq .facts.totals
    """
    check_writable(out)
    with open_session(store, config) as session:
        keep_apart((out,), (session.store_url, config))
        found = session.report(batch_id, execution=execution)
    if as_json:
        text = found.to_json()
    else:
        text = render(found).encode()
    if out is not None:
        write_whole(out, [text])
        note(f"the report of {safe(found.facts.batch_id)} is written to {safe(out)}")
    elif as_json:
        print_json(text)
    else:
        typer.echo(text.decode(), nl=False)
    if not found.facts.final:
        note(f"{safe(found.facts.batch_id)} is {found.facts.state}: its report cannot be signed")
