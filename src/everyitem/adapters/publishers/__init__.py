"""Publishers: how events reach others."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from everyitem.adapters.publishers.chosen import ChosenTypes
from everyitem.model.errors import UsageError
from everyitem.model.redaction import learn
from everyitem.ports.relay import Publisher
from everyitem.settings.publishing import PublishingSettings

if TYPE_CHECKING:
    from everyitem.settings.platform import RestAccess


def build_publisher(settings: PublishingSettings, *, platform: "RestAccess | None" = None) -> Publisher:
    """The publisher of the settings; `platform` is where `cyoda` publishes to.

    Raises `UsageError` for one that cannot be had.
    """
    publisher = _publisher(settings, broker_url(settings), platform)
    return ChosenTypes(publisher, settings.types) if settings.types else publisher


def _publisher(settings: PublishingSettings, url: str, platform: "RestAccess | None") -> Publisher:
    match settings.publisher:
        case "kafka":
            with _needing("events-kafka"):
                from everyitem.adapters.publishers.kafka import KafkaPublisher
            return KafkaPublisher(url, topic=settings.topic, timeout=settings.timeout_seconds)
        case "nats":
            with _needing("events-nats"):
                from everyitem.adapters.publishers.nats import NatsPublisher
            return NatsPublisher(url, topic=settings.topic, timeout=settings.timeout_seconds)
        case "rabbitmq":
            with _needing("events-rabbitmq"):
                from everyitem.adapters.publishers.rabbitmq import RabbitPublisher
            return RabbitPublisher(url, topic=settings.topic, timeout=settings.timeout_seconds)
        case "redis":
            with _needing("events-redis"):
                from everyitem.adapters.publishers.redis import RedisPublisher
            return RedisPublisher(url, topic=settings.topic, timeout=settings.timeout_seconds)
        case "cyoda":
            assert platform is not None
            return _cyoda(url or platform.url or "", settings, platform)
        case _:
            return _webhook(url, settings)


def broker_url(settings: PublishingSettings) -> str:
    """Where events go to. Raises `UsageError` where the file that says so cannot be read."""
    return _secret(settings.url_file) or settings.url


def _cyoda(url: str, settings: PublishingSettings, platform: "RestAccess") -> Publisher:
    if not url:
        raise UsageError("[events] publisher = 'cyoda' needs the platform's url (…/api), here or in [cyoda]")
    from everyitem.adapters.publishers.cyoda import cyoda_publisher

    credentials = platform.credentials()
    return cyoda_publisher(
        url, credentials=credentials, topic=settings.topic, timeout=settings.timeout_seconds
    )


def _webhook(url: str, settings: PublishingSettings) -> Publisher:
    from everyitem.adapters.publishers.webhook import WebhookPublisher

    secret, token = _secret(settings.secret_file), _secret(settings.token_file)
    learn({"secret": secret, "token": token})
    return WebhookPublisher(
        url,
        secret=secret,
        token=token,
        at_once=settings.batch_size,
        timeout=settings.timeout_seconds,
        allow_private=settings.allow_private,
    )


@contextmanager
def _needing(extra: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise UsageError(
            f"[events]: this needs the extra {extra!r} ({error}); "
            f"install it with `pip install 'everyitem[{extra}]'`"
        ) from error


def _secret(path: str) -> str:
    """What stands in a file; empty without one."""
    if not path:
        return ""
    try:
        found = Path(path).expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"[events] {path} cannot be read: {error}") from error
    if not found or not found.isascii() or not found.isprintable():
        raise UsageError(f"[events] {path} holds no secret: one line of printable ASCII is needed")
    return found
