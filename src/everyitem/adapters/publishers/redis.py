"""Events to a Redis stream: one entry each, with the whole event in the field `event`.

Redis acknowledges before its disk has the entry, unless it is told otherwise (`appendfsync always`).
"""

from collections.abc import Sequence

import redis

from everyitem.adapters.publishers.messages import to_json
from everyitem.model.errors import UsageError
from everyitem.model.store_url import shown_url
from everyitem.ports.outbox import OutboxEvent
from everyitem.ports.relay import PublisherAway


class RedisPublisher:
    """Appends events to a stream, some of them in one transaction."""

    at_once = 100

    def __init__(self, url: str, *, topic: str, timeout: float) -> None:
        """`url` is like redis://HOST:6379/0, `topic` the stream's key; `timeout` in seconds a step."""
        self._topic, self._shown = topic, shown_url(url)
        try:
            self._client = redis.Redis.from_url(url, socket_timeout=timeout, socket_connect_timeout=timeout)
        except ValueError:
            # what the client says may hold a part of the password
            raise UsageError(
                f"[events] url {self._shown!r}: Redis' is like redis://USER:PASSWORD@HOST:6379/0"
            ) from None

    def publish(self, events: Sequence[OutboxEvent]) -> None:
        try:
            with self._client.pipeline(transaction=True) as pipeline:
                for event in events:
                    pipeline.xadd(self._topic, {"id": event.event_id, "event": to_json(event)})
                pipeline.execute()
        except redis.RedisError as error:
            # what Redis does not take it takes of no event: it is full, read-only, or the key is no stream
            raise PublisherAway(f"{self._shown}: {error}") from error

    def close(self) -> None:
        self._client.close()
