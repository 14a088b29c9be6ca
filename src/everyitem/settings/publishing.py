"""The table `[events]` of the configuration file: where events go."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec

from everyitem.settings.alerting import Seconds, read_table

#: Publishers from which events can come, too.
_BROKERS: Final = frozenset({"kafka", "nats", "rabbitmq", "redis"})


class PublishingSettings(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"
):
    """Where events go, and what becomes of those that are refused."""

    #: What takes them; empty: nothing, they stay in the store.
    publisher: Literal["", "webhook", "kafka", "nats", "rabbitmq", "redis", "cyoda"] = ""
    #: Where to; a URL may be a secret, and stand in a file of its own instead.
    url: str = ""
    url_file: str = ""
    #: Brokers: the topic, the subject, the exchange, or the stream, events are put into. cyoda: the subject
    #: of edge messages, or the MODEL/VERSION of event entities.
    topic: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] = "everyitem.events"
    #: Brokers: the topic, the subject, the queue, or the stream, a service takes events of others from.
    listen: Annotated[str, msgspec.Meta(max_length=200)] = ""
    #: Only events of these types are sent; empty: all.
    types: tuple[str, ...] = ()
    #: webhook: files with the secret events are signed with, and with a bearer token that is sent along.
    secret_file: str = ""
    token_file: str = ""
    #: webhook: events of one request. More than one are sent in CloudEvents' batched mode.
    batch_size: Annotated[int, msgspec.Meta(ge=1, le=500)] = 1
    #: webhook: whether the target may be on this machine or in a private network.
    allow_private: bool = False
    #: Seconds for each step of an exchange.
    timeout_seconds: Seconds = 10.0
    #: An event that was refused so often is parked.
    tries: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 5
    #: Seconds the end of a run waits for events that are on their way.
    flush_seconds: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 5.0


def read_publishing_settings(table: Mapping[str, Any] | str | PublishingSettings) -> PublishingSettings:
    """The table (from the environment: as JSON) as settings. Raises `ValueError` saying what is wrong."""
    if isinstance(table, PublishingSettings):
        return table
    settings = read_table(table, PublishingSettings)
    if settings.publisher not in ("", "cyoda") and not (settings.url or settings.url_file):
        raise ValueError(f"the publisher {settings.publisher!r} needs a `url` or a `urlFile`")
    if settings.listen and settings.publisher not in _BROKERS:
        raise ValueError(f"`listen` needs a broker as `publisher`, not {settings.publisher or 'none'!r}")
    if settings.listen and settings.listen == settings.topic:
        raise ValueError("`listen` must not be the `topic` events are published to")
    if settings.url and not settings.publisher:
        raise ValueError("a `url` needs a `publisher`")
    return settings
