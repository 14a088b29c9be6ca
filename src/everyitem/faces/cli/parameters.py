"""Arguments and options that several commands share, described once."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

_OBSERVED = "How it is observed"


class LogFormatChoice(StrEnum):
    """What `--log-format` takes."""

    TEXT = "text"
    JSON = "json"


class NodeChoice(StrEnum):
    """Kinds of nodes `--nodes` offers."""

    THREAD = "thread"
    PROCESS = "process"
    ASYNC = "async"


BatchId = Annotated[
    str, typer.Argument(metavar="BATCH_ID", help="The batch's `batchId`.", show_default=False)
]
ItemId = Annotated[
    str,
    typer.Argument(
        metavar="ITEM_ID", help="The item's `itemId`, or its 0-based position.", show_default=False
    ),
]
BatchFile = Annotated[
    str,
    typer.Argument(
        metavar="BATCH.json", help="The batch document; `-` reads standard input.", show_default=False
    ),
]

_WHERE = "Where"
StoreUrl = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URL",
        help="The store, as sqlite:///PATH or postgresql://HOST/DATABASE. "
        "Default: EVERYITEM_STORE, else SQLite in your data directory.",
        rich_help_panel=_WHERE,
        show_default=False,
    ),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Configuration file. Default: everyitem.toml here, if there is one.",
        rich_help_panel=_WHERE,
        show_default=False,
    ),
]
Processors = Annotated[
    list[str] | None,
    typer.Option(
        "--processors",
        metavar="FILE.py|MODULE",
        help="Where item processors are registered; repeatable. Default: `processors` of everyitem.toml.",
        rich_help_panel=_WHERE,
        show_default=False,
    ),
]
ExecutionNumber = Annotated[
    int | None,
    typer.Option(
        "--execution",
        metavar="N",
        min=1,
        help="Which execution of the batch. Default: the latest.",
        show_default=False,
    ),
]

_HOW = "How it runs"
Nodes = Annotated[
    NodeChoice | None,
    typer.Option("--nodes", help="Run all nodes as this kind.", rich_help_panel=_HOW, show_default=False),
]
Parallelism = Annotated[
    int | None,
    typer.Option(
        "--parallelism",
        metavar="N",
        min=1,
        help="Items at the same time, up to the allocated slots.",
        rich_help_panel=_HOW,
        show_default=False,
    ),
]
CheckpointInterval = Annotated[
    int | None,
    typer.Option(
        "--checkpoint-interval",
        metavar="N",
        min=1,
        help="Outcomes between two checkpoints.",
        rich_help_panel=_HOW,
        show_default=False,
    ),
]
MaxRetries = Annotated[
    int | None,
    typer.Option(
        "--max-retries",
        metavar="N",
        min=0,
        help="Attempts after the first, per item.",
        rich_help_panel=_HOW,
        show_default=False,
    ),
]


def _above_zero(value: float | None) -> float | None:
    if value is not None and not value > 0:
        raise typer.BadParameter(f"{value:g} is not above 0.")
    return value


TimeoutHours = Annotated[
    float | None,
    typer.Option(
        "--timeout-hours",
        metavar="H",
        callback=_above_zero,
        help="Hours of active execution before TIMEOUT_ERROR; fractions allowed.",
        rich_help_panel=_HOW,
        show_default=False,
    ),
]
Supervise = Annotated[
    bool,
    typer.Option(
        "--supervise",
        help="Run in a process of its own that is started again, and goes on, when it crashes.",
        rich_help_panel=_HOW,
        show_default=False,
    ),
]

_WHAT = "What comes out"
OutFile = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="FILE",
        help="Write the response to this file as well.",
        rich_help_panel=_WHAT,
        show_default=False,
    ),
]
ResultsFile = Annotated[
    Path | None,
    typer.Option(
        "--results",
        metavar="FILE",
        help="Write every item's result to this file at the end: JSON lines, or CSV for *.csv.",
        rich_help_panel=_WHAT,
        show_default=False,
    ),
]
FailOnItemFailure = Annotated[
    bool,
    typer.Option(
        "--fail-on-item-failure",
        help="Exit with 3 when items failed.",
        rich_help_panel=_WHAT,
        show_default=False,
    ),
]
NoProgress = Annotated[
    bool,
    typer.Option(
        "--no-progress", help="Show neither progress nor summary.", rich_help_panel=_WHAT, show_default=False
    ),
]
LogFormat = Annotated[
    LogFormatChoice | None,
    typer.Option(
        "--log-format",
        help="What standard error gets: text for people, or a JSON object per line.",
        rich_help_panel=_OBSERVED,
        show_default=False,
    ),
]
MetricsPort = Annotated[
    int | None,
    typer.Option(
        "--metrics-port",
        metavar="PORT",
        min=0,
        max=65535,
        help="Serve metrics for Prometheus on this port of the loopback interface; 0 takes a free one.",
        rich_help_panel=_OBSERVED,
        show_default=False,
    ),
]
AsJson = Annotated[
    bool,
    typer.Option("--json", help="JSON even on a terminal (the default when piped).", show_default=False),
]

_ACCESS = "Access"
TokenUrl = Annotated[
    str | None,
    typer.Option(
        "--token-url",
        metavar="URL",
        help="Where tokens come from (OAuth2 client credentials); without it none is sent.",
        rich_help_panel=_ACCESS,
        show_default=False,
    ),
]
ClientId = Annotated[
    str | None,
    typer.Option(
        "--client-id", metavar="ID", help="The client.", rich_help_panel=_ACCESS, show_default=False
    ),
]
ClientSecretFile = Annotated[
    Path | None,
    typer.Option(
        "--client-secret-file",
        metavar="FILE",
        help="File with the client's secret.",
        rich_help_panel=_ACCESS,
        show_default=False,
    ),
]
