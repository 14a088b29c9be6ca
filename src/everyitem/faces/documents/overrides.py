"""What the command line or an API call says about one batch; it wins over the document."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import msgspec

from everyitem.model.errors import UsageError
from everyitem.model.resources import NodeKind
from everyitem.settings import Origin, Setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """Options of one call; None means not given. Raises `UsageError` for values no batch can have."""

    parallelism: int | None = None
    #: `thread`, `process` or `async`: replaces the kind of all nodes.
    nodes: str | None = None
    checkpoint_interval: int | None = None
    max_retries: int | None = None
    timeout_hours: float | None = None
    #: Path of a jsonl, csv or parquet file that takes the place of the document's items.
    items: str | None = None

    def __post_init__(self) -> None:
        for name, least in (("parallelism", 1), ("checkpoint_interval", 1), ("max_retries", 0)):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
                raise UsageError(f"{name} must be a whole number of at least {least}, not {value!r}")
        hours: Any = self.timeout_hours
        if hours is not None and not (isinstance(hours, int | float) and math.isfinite(hours) and hours > 0):
            raise UsageError(f"timeout_hours must be a number above 0, not {hours!r}")
        if self.nodes is not None and self.nodes not in _KINDS:
            raise UsageError(f"nodes must be one of {', '.join(_KINDS)}, not {self.nodes!r}")

    def over(self, earlier: "Overrides") -> "Overrides":
        """These, completed by those of an earlier call."""
        given = {one.name: getattr(self, one.name) for one in fields(self)}
        return replace(earlier, **{name: value for name, value in given.items() if value is not None})

    @classmethod
    def recorded_in(cls, settings: bytes) -> "Overrides":
        """What the call that started an execution said, from the settings stored with it.

        A recovery must go on as it was told; a new call's own options are put `over` these.
        """
        stored = msgspec.json.decode(settings, type=dict[str, _StoredSetting])
        said: dict[str, Any] = {
            option: stored[name].value
            for option, name in _OPTION_NAMES.items()
            if name in stored and stored[name].origin == Origin.CLI
        }
        return cls(**said)


class _StoredSetting(msgspec.Struct):
    value: object
    origin: str


def to_json(origins: Mapping[str, Setting]) -> bytes:
    """Settings in force as JSON text: what is stored with an execution and `plan` prints."""
    return msgspec.json.encode(
        {name: {"value": one.value, "origin": one.origin} for name, one in origins.items()}
    )


_KINDS = (NodeKind.THREAD, NodeKind.PROCESS, NodeKind.ASYNC)

#: Option -> name of the setting it decides. `items` is not among them: the items are stored.
_OPTION_NAMES = {
    "parallelism": "parallelismLevel",
    "nodes": "nodes",
    "checkpoint_interval": "checkpointInterval",
    "max_retries": "maxRetryAttempts",
    "timeout_hours": "timeoutHours",
}
