"""Alerts through Apprise: Slack, Teams, PagerDuty and whatever else it knows."""

import apprise

from everyitem.model.alerts import Level, Page, Reason
from everyitem.model.errors import UsageError


class AppriseChannel:
    """One Apprise URL; several may stand in one file, a line each."""

    def __init__(self, name: str, urls: str) -> None:
        self.name = name
        self._apprise = apprise.Apprise()
        for number, url in enumerate(urls.split(), start=1):
            if not self._apprise.add(url):
                # not quoted: it holds the credentials
                raise UsageError(f"[alerts] channels.{name}: Apprise does not understand URL {number}")

    def send(self, page: Page) -> None:
        kind = apprise.NotifyType.FAILURE
        if page.reason is Reason.RESOLVED:
            kind = apprise.NotifyType.SUCCESS
        elif page.alert.level is Level.WARNING:
            kind = apprise.NotifyType.WARNING
        if not self._apprise.notify(title=page.title, body=page.body, notify_type=kind):
            raise ConnectionError("Apprise could not deliver it")
