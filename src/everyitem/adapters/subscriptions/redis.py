"""Messages from a Redis stream: a consumer group, whose entries come again unless acknowledged.

The event is the field `event` of an entry.
"""

import os
import socket
from collections.abc import Sequence
from typing import Any

import redis

from everyitem.adapters.subscriptions import AT_ONCE, GROUP, REDELIVERY
from everyitem.model.errors import UsageError
from everyitem.model.store_url import shown_url
from everyitem.ports.subscription import BrokerAway, Message


class RedisSubscription:
    """One stream, by the group all services of a store share."""

    def __init__(self, url: str, *, topic: str, timeout: float) -> None:
        """`timeout` in seconds for each step beyond the time that is waited for messages."""
        self._topic, self._shown = topic, shown_url(url)
        self._me = f"{socket.gethostname()}-{os.getpid()}"
        self._has_group = False
        try:
            self._client = redis.Redis.from_url(
                url, socket_timeout=timeout + 10, socket_connect_timeout=timeout
            )
        except ValueError:
            # what the client says may hold a part of the password
            raise UsageError(
                f"[events] url {self._shown!r}: Redis' is like redis://USER:PASSWORD@HOST:6379/0"
            ) from None

    def receive(self, seconds: float) -> Sequence[Message]:
        try:
            if not self._has_group:
                self._make_group()
            # what another one has received and not taken, because it died or its store was away, or we did
            idle = int(REDELIVERY * 1000)
            claimed: Any = self._client.xautoclaim(self._topic, GROUP, self._me, idle, count=AT_ONCE)
            if claimed[1]:
                return _messages(claimed[1])
            wait = max(1, int(seconds * 1000))
            found: Any = self._client.xreadgroup(
                GROUP, self._me, {self._topic: ">"}, count=AT_ONCE, block=wait
            )
        except redis.RedisError as error:
            self._has_group = False
            raise BrokerAway(f"{self._shown}: {error}") from error
        return _messages(found[0][1]) if found else []

    def take(self, message: Message) -> None:
        try:
            self._client.xack(self._topic, GROUP, message.token)
        except redis.RedisError as error:
            raise BrokerAway(f"{self._shown}: {error}") from error

    def close(self) -> None:
        self._client.close()

    def _make_group(self) -> None:
        try:
            self._client.xgroup_create(self._topic, GROUP, id="0", mkstream=True)
        except redis.ResponseError as error:
            if "BUSYGROUP" not in str(error):  # somebody has made it
                raise
        self._has_group = True


def _messages(entries: Any) -> list[Message]:
    # an entry without the field says nothing that is understood, and is refused as such
    return [Message(fields.get(b"event", b""), token) for token, fields in entries if fields is not None]
