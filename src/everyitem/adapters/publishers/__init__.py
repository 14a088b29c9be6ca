"""Publishers: how events reach others."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from everyitem.model.errors import UsageError
from everyitem.model.redaction import learn
from everyitem.ports.relay import Publisher
from everyitem.settings.publishing import PublishingSettings


def build_publisher(settings: PublishingSettings) -> Publisher:
    """The publisher of the settings. Raises `UsageError` for one that cannot be had."""
    url = broker_url(settings)
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
        case _:
            return _webhook(url, settings)


def broker_url(settings: PublishingSettings) -> str:
    """Where events go to. Raises `UsageError` where the file that says so cannot be read."""
    return _secret(settings.url_file) or settings.url


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
