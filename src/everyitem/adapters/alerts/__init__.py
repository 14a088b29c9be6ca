"""Channels: how alerts reach people."""

import logging
from collections.abc import Mapping
from pathlib import Path

from everyitem.model.alerts import Level, Page, Reason
from everyitem.model.errors import UsageError
from everyitem.ports.alerts import AlertChannel
from everyitem.settings.alerting import AlertSettings, Channel

_log = logging.getLogger("everyitem.alerts")


class LogChannel:
    """Everybody who reads the log."""

    name = "log"

    def send(self, page: Page) -> None:
        level = logging.ERROR if page.alert.level is Level.CRITICAL else logging.WARNING
        if page.reason is Reason.RESOLVED:
            level = logging.INFO
        text = "alert %s, batch %s: %s (%s; everyitem alerts acknowledge %s)"
        alert = page.alert
        values = (alert.kind, alert.batch_id, alert.text, page.reason, alert.alert_id)
        _log.log(level, text, *values, extra={"fields": {"alert": page.to_dict(), "batchId": alert.batch_id}})


def build_channels(settings: AlertSettings) -> Mapping[str, AlertChannel]:
    """The channels of the escalation. Raises `UsageError` for one that cannot be had."""
    channels: dict[str, AlertChannel] = {}
    for name in settings.escalation:
        wanted = settings.channels.get(name, Channel(kind="log"))
        channels[name] = _build(name, wanted, settings.delivery_seconds)
    return channels


def _build(name: str, wanted: Channel, timeout: float) -> AlertChannel:
    match wanted.kind:
        case "log":
            return LogChannel()
        case "webhook":
            from everyitem.adapters.alerts.webhook import Webhook

            return Webhook(name, _secret(name, wanted.url, wanted.url_file), timeout=timeout)
        case "smtp":
            from everyitem.adapters.alerts.mail import Mail

            return Mail(name, wanted, _secret(name, "", wanted.password_file), timeout=timeout)
        case "apprise":
            try:
                from everyitem.adapters.alerts.apprise import AppriseChannel
            except ImportError as error:
                raise UsageError(
                    f"[alerts] channels.{name}: this needs the extra 'alerts' ({error}); "
                    "install it with `pip install 'everyitem[alerts]'`"
                ) from error
            return AppriseChannel(name, _secret(name, wanted.url, wanted.url_file))


def _secret(name: str, value: str, path: str) -> str:
    """The value, or what stands in its file."""
    if not path:
        return value
    try:
        return Path(path).expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"[alerts] channels.{name}: {path} cannot be read: {error}") from error
