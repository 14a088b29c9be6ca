"""`everyitem plan`: what would happen to a batch, without doing it."""

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from everyitem.faces.api.forecast import Forecast
from everyitem.faces.api.options import RunOptions
from everyitem.faces.api.planning import Plan
from everyitem.faces.api.refusal import refusal
from everyitem.faces.cli import parameters as given
from everyitem.faces.cli.display.figures import count, duration
from everyitem.faces.cli.exits import RESPONSE_ERROR
from everyitem.faces.cli.opening import open_session
from everyitem.faces.cli.streams import reserve_output
from everyitem.faces.cli.terminal import is_for_people, note, print_json, print_table, safe
from everyitem.model.errors import DocumentRefused

_MOST_PARTITIONS = 12


def plan(
    batch: given.BatchFile,
    processors: given.Processors = None,
    items: Annotated[
        Path | None,
        typer.Option(
            "--items",
            metavar="FILE",
            help="Items from this .jsonl, .csv or .parquet file.",
            show_default=False,
        ),
    ] = None,
    parallelism: given.Parallelism = None,
    nodes: given.Nodes = None,
    checkpoint_interval: given.CheckpointInterval = None,
    max_retries: given.MaxRetries = None,
    timeout_hours: given.TimeoutHours = None,
    sample: Annotated[
        int,
        typer.Option(
            "--sample",
            metavar="N",
            min=0,
            help="Really run so many items, to know what the others will take.",
            show_default=False,
        ),
    ] = 0,
    store: given.StoreUrl = None,
    config: given.ConfigFile = None,
    as_json: given.AsJson = False,
) -> None:
    """Validate and partition a batch without running it.

    Shows every setting in force and where it came from, and what to expect: how long it will take, at which
    parallelism, and what would make it faster. That is known from the latest batch of the same item
    processor, or with --sample from items of this one, which are really called (their outcomes are
    forgotten). Nothing else runs, and nothing is stored. A document that is not acceptable gives the same
    ERROR response as `run`, with every problem and its JSON path, and exit code 1.

    [bold]Examples[/bold]

      everyitem plan batch.json
      everyitem plan batch.json --parallelism 20 --nodes process
      everyitem plan batch.json --sample 100
    """
    options: RunOptions = {}
    if processors:
        options["processors"] = processors
    if nodes is not None:
        options["nodes"] = nodes.value
    if parallelism is not None:
        options["parallelism"] = parallelism
    if checkpoint_interval is not None:
        options["checkpoint_interval"] = checkpoint_interval
    if max_retries is not None:
        options["max_retries"] = max_retries
    if timeout_hours is not None:
        options["timeout_hours"] = timeout_hours
    reserve_output()
    with open_session(store, config, announce=False) as session:
        try:
            found = session.plan(batch, items=items, sample=sample, **options)
        except DocumentRefused as refused:
            print_json(refusal(refused).to_json().encode())
            raise typer.Exit(RESPONSE_ERROR) from None
    if is_for_people(as_json=as_json):
        _show(found)
    else:
        print_json(found.to_json())


def _show(found: Plan) -> None:
    for warning in found.warnings:
        note(f"warning: {safe(warning)}")
    print_table(
        ("", ""),
        [
            ("batch", found.batch_id),
            ("processor", found.processor),
            ("items", count(found.items)),
            ("parallelism", count(found.parallelism)),
            ("priority", found.priority),
        ],
    )
    print_table(
        ("node", "kind", "slots", "memory"),
        [
            (
                node.node_id,
                node.kind,
                count(node.slots),
                f"{count(node.memory_mb)} MB" if node.memory_mb else "",
            )
            for node in found.nodes
        ],
        right=(2, 3),
    )
    shares = [
        (
            one.partition_id,
            count(one.first_index),
            count(one.last_index),
            count(one.last_index - one.first_index + 1),
        )
        for one in found.partitions[:_MOST_PARTITIONS]
    ]
    if len(found.partitions) > _MOST_PARTITIONS:
        shares.append((f"and {len(found.partitions) - _MOST_PARTITIONS} more", "", "", ""))
    print_table(("partition", "first", "last", "items"), shares, right=(1, 2, 3))
    print_table(
        ("setting", "value", "from"), [(one.name, _value(one.value), one.origin) for one in found.settings]
    )
    if found.forecast is not None:
        _show_forecast(found.forecast)


def _show_forecast(expected: Forecast) -> None:
    print_table(
        ("parallelism", "items/s", "duration", ""),
        [
            (
                count(one.parallelism),
                f"{one.items_per_second:,.1f}",
                duration(one.duration_seconds),
                "measured" if one.measured else "",
            )
            for one in expected.curve
        ],
        right=(0, 1, 2),
    )
    seen = f"{count(expected.items)} items of it" if expected.basis == "sample" else "its latest batch"
    bounds = ""
    if expected.at_least_seconds is not None and expected.at_most_seconds is not None:
        bounds = f"{duration(expected.at_least_seconds)} to {duration(expected.at_most_seconds)}, "
    note(
        f"expected: {duration(expected.duration_seconds)} ({bounds}by {seen}); "
        f"begun now it ends at {expected.finishes_at}"
    )
    for advice in expected.advice:
        note(f"advice: {advice}")


def _value(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
