"""Alerts by mail."""

import smtplib
import ssl
from email.message import EmailMessage

from everyitem.model.alerts import Level, Page
from everyitem.settings.alerting import Channel

_PORTS = {"none": 25, "starttls": 587, "tls": 465}


class Mail:
    """Whoever the server takes the mail for counts as reached."""

    def __init__(self, name: str, channel: Channel, password: str, *, timeout: float) -> None:
        """`timeout`: seconds for each step of the exchange."""
        self.name = name
        self._channel, self._password, self._timeout = channel, password, timeout

    def send(self, page: Page) -> None:
        channel = self._channel
        port = channel.port or _PORTS[channel.security]
        if channel.security == "tls":
            context = ssl.create_default_context()
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                channel.host, port, timeout=self._timeout, context=context
            )
        else:
            server = smtplib.SMTP(channel.host, port, timeout=self._timeout)
        with server:
            if channel.security == "starttls":
                server.starttls(context=ssl.create_default_context())
            if channel.username:
                server.login(channel.username, self._password)
            server.send_message(self._message(page))

    def _message(self, page: Page) -> EmailMessage:
        message = EmailMessage()
        # a batch id may hold anything; a header may not
        message["Subject"] = " ".join(page.title.encode("utf-8", "replace").decode("utf-8").split())
        message["From"] = self._channel.sender
        message["To"] = ", ".join(self._channel.to)
        if page.alert.level is Level.CRITICAL:
            message["Importance"] = "high"
        message.set_content(page.body.encode("utf-8", "replace").decode("utf-8"))
        return message
