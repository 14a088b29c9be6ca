"""Publishers: how events reach others."""

from pathlib import Path

from everyitem.model.errors import UsageError
from everyitem.model.redaction import learn
from everyitem.ports.relay import Publisher
from everyitem.settings.publishing import PublishingSettings


def build_publisher(settings: PublishingSettings) -> Publisher:
    """The publisher of the settings. Raises `UsageError` for one that cannot be had."""
    from everyitem.adapters.publishers.webhook import WebhookPublisher

    url = _secret(settings.url_file) or settings.url
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
