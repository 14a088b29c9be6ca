"""The options all executing commands share, described once and added to each command's own."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from everyitem.faces.api.options import RunOptions
from everyitem.faces.cli import parameters as given


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What the shared options asked for; None means not given."""

    processors: given.Processors = None
    store: given.StoreUrl = None
    config: given.ConfigFile = None
    parallelism: given.Parallelism = None
    nodes: given.Nodes = None
    checkpoint_interval: given.CheckpointInterval = None
    max_retries: given.MaxRetries = None
    timeout_hours: given.TimeoutHours = None
    #: Seen to before the command is carried out (`supervise.py`).
    supervise: given.Supervise = False
    out: given.OutFile = None
    results: given.ResultsFile = None
    fail_on_item_failure: given.FailOnItemFailure = False
    no_progress: given.NoProgress = False
    log_format: given.LogFormat = None
    metrics_port: given.MetricsPort = None
    #: Responses always are JSON.
    as_json: given.AsJson = False

    def session(self) -> dict[str, object]:
        """Settings of the whole session that were given."""
        return {"log_format": self.log_format, "metrics_port": self.metrics_port}

    def options(self) -> RunOptions:
        """The keyword arguments of the Python API; what was not given is left to document and settings."""
        given: RunOptions = {}
        if self.processors:
            given["processors"] = self.processors
        if self.nodes is not None:
            given["nodes"] = self.nodes.value
        if self.parallelism is not None:
            given["parallelism"] = self.parallelism
        if self.checkpoint_interval is not None:
            given["checkpoint_interval"] = self.checkpoint_interval
        if self.max_retries is not None:
            given["max_retries"] = self.max_retries
        if self.timeout_hours is not None:
            given["timeout_hours"] = self.timeout_hours
        return given


def with_wishes(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the shared options: typer sees them in its signature, the command gets a `Wishes`."""
    _, *own = inspect.signature(command).parameters.values()
    shared = [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=field.type
        )
        for field in fields(Wishes)
    ]
    parameters = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own] + shared
    names = {field.name for field in fields(Wishes)}

    def carry_out(**arguments: Any) -> None:
        wishes = Wishes(**{name: value for name, value in arguments.items() if name in names})
        command(wishes, **{name: value for name, value in arguments.items() if name not in names})

    carry_out.__name__, carry_out.__doc__ = command.__name__, command.__doc__
    carry_out.__annotations__ = {one.name: one.annotation for one in parameters}
    carry_out.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return carry_out
