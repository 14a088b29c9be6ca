"""The table `[alerts]` of the configuration file: whom to tell, how often, and from when on."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from everyitem.settings.unusable import of_table

Seconds = Annotated[float, msgspec.Meta(gt=0)]
Read = TypeVar("Read")
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """A table in which every name is known."""


class Limits(_Table, frozen=True, kw_only=True):
    """From when on something is wrong."""

    #: Share of the batch timeout's window used up, with a forecast beyond its end.
    window_used: Share = 0.8
    #: Share of the latest items (those of `failure_seconds`) that failed, at least so many, and so many times
    #: the share before.
    failure_share: Share = 0.2
    failure_seconds: Seconds = 60.0
    failures_at_least: Annotated[int, msgspec.Meta(ge=1)] = 20
    failure_factor: Annotated[float, msgspec.Meta(ge=1)] = 3.0
    #: Without a new outcome.
    no_progress_seconds: Seconds = 300.0
    #: Outcomes wait for a checkpoint.
    checkpoint_seconds: Seconds = 120.0
    #: The oldest event waits to be published.
    outbox_seconds: Seconds = 300.0
    #: An answer of the store takes longer; it does not answer at all.
    store_response_seconds: Seconds = 2.0
    store_away_seconds: Seconds = 10.0
    #: Availability, once it was needed for so long (slots count each for itself).
    store_availability: Share = 0.999
    node_availability: Share = 0.9995
    availability_seconds: Seconds = 60.0


class Channel(_Table, frozen=True, kw_only=True):
    """A way to reach people."""

    kind: Literal["log", "webhook", "smtp", "apprise"]
    #: webhook, apprise: where to; a URL is a secret, and may stand in a file of its own instead.
    url: str = ""
    url_file: str = ""
    #: smtp
    host: str = "localhost"
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] | None = None
    security: Literal["none", "starttls", "tls"] = "starttls"
    username: str = ""
    password_file: str = ""
    sender: str = "everyitem@localhost"
    to: list[str] = []


class AlertSettings(_Table, frozen=True, kw_only=True):
    """Whom to tell, in which order, and how often."""

    #: Names of channels: the first is told; the next when it fails, or nobody acknowledges.
    escalation: list[str] = msgspec.field(default_factory=lambda: ["log"])
    channels: dict[str, Channel] = {}
    #: Until an alert is acknowledged it is told again after so long, one channel further each time.
    repeat_seconds: Seconds = 900.0
    #: A channel that has not delivered by then has failed.
    delivery_seconds: Seconds = 10.0
    #: Nobody was reached: all channels are tried again after so long.
    retry_seconds: Seconds = 30.0
    #: A condition must be gone for so long before its alert is resolved.
    settle_seconds: Seconds = 60.0
    #: Messages within `repeat_seconds`; alerts beyond that wait, and are recorded meanwhile.
    most_pages: Annotated[int, msgspec.Meta(ge=1)] = 30
    limits: Limits = Limits()


def read_alert_settings(table: Mapping[str, Any] | str | AlertSettings) -> AlertSettings:
    """The table (from the environment: as JSON) as settings. Raises `ValueError` saying what is wrong."""
    if isinstance(table, AlertSettings):
        return table
    settings = read_table(table, AlertSettings)
    for name, channel in settings.channels.items():
        if channel.kind in ("webhook", "apprise") and not (channel.url or channel.url_file):
            raise ValueError(f"channels.{name}: a {channel.kind} needs a `url` or a `urlFile`")
        if channel.kind == "smtp" and not channel.to:
            raise ValueError(f"channels.{name}: mail needs somebody to go `to`")
    if unknown := [name for name in settings.escalation if name not in (*settings.channels, "log")]:
        raise ValueError(f"escalation: there is no channel {unknown[0]!r} in `channels`")
    if not settings.escalation:
        raise ValueError("escalation: at least one channel must be told")
    return settings


def read_table(table: Mapping[str, Any] | str, kind: type[Read]) -> Read:
    """A table whose names are written as in documents or as in Python; raises `ValueError`."""
    try:
        given = msgspec.json.decode(table, type=dict[str, Any]) if isinstance(table, str) else table
        return msgspec.convert(_camel(given), kind)
    except msgspec.ValidationError as error:
        raise ValueError(of_table(error, kind)) from None
    except msgspec.DecodeError as error:
        raise ValueError(f"not valid JSON: {error}") from None


def _camel(table: Mapping[str, Any]) -> dict[str, Any]:
    """Names as in documents, where they are written as in Python; names of channels stay as they are."""
    read: dict[str, Any] = {}
    for name, value in table.items():
        first, *rest = name.replace("-", "_").split("_")
        key = first + "".join(map(str.capitalize, rest))
        read[key] = _named(value) if key == "channels" else _camel(value) if _is_table(value) else value
    return read


def _named(channels: Any) -> Any:
    if not _is_table(channels):
        return channels
    return {name: _camel(channel) if _is_table(channel) else channel for name, channel in channels.items()}


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping)
