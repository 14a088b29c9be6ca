"""Messages from a RabbitMQ queue: handed out a bounded number at a time, and again unless acknowledged."""

from collections import deque
from collections.abc import Sequence
from contextlib import suppress

import amqp
from amqp.exceptions import AMQPError, NotFound

from everyitem.adapters.amqp_url import amqp_connection
from everyitem.adapters.subscriptions import AT_ONCE
from everyitem.model.store_url import shown_url
from everyitem.ports.subscription import BrokerAway, Message


class RabbitSubscription:
    """One queue, shared with whoever else consumes it."""

    def __init__(self, url: str, *, topic: str, timeout: float) -> None:
        """`topic` is the queue; `timeout` in seconds for each step."""
        amqp_connection(url, timeout=timeout)
        self._url, self._topic, self._timeout = url, topic, timeout
        self._connection: amqp.Connection | None = None
        self._channel: amqp.Channel | None = None
        self._arrived: deque[amqp.Message] = deque()
        #: Delivery tags received and not taken, in order.
        self._open: dict[int, None] = {}

    def receive(self, seconds: float) -> Sequence[Message]:
        try:
            return self._receive(seconds)
        except NotFound as error:
            self._forget()
            raise BrokerAway(f"there is no queue {self._topic!r}; declare one that is durable") from error
        except (AMQPError, OSError) as error:
            raise self._away(error) from error

    def take(self, message: Message) -> None:
        try:
            if self._channel is None:
                raise ConnectionResetError("the connection was lost")
            self._channel.basic_ack(message.token)
        except (AMQPError, OSError) as error:
            raise self._away(error) from error
        self._open.pop(message.token, None)

    def close(self) -> None:
        self._forget()

    def _receive(self, seconds: float) -> list[Message]:
        connection, channel = self._connection, self._channel
        if connection is None or channel is None:
            connection, channel = self._consume()
        # the broker hands them out again only when it is told, or the connection is gone
        for tag in self._open:
            channel.basic_reject(tag, requeue=True)
        self._open.clear()
        if not self._arrived:
            with suppress(TimeoutError):
                connection.drain_events(timeout=seconds)
                while len(self._arrived) < AT_ONCE:
                    connection.drain_events(timeout=0.001)
        found = [self._arrived.popleft() for _ in range(len(self._arrived))]
        self._open.update(dict.fromkeys(one.delivery_tag for one in found))
        return [Message(_bytes(one.body), one.delivery_tag) for one in found]

    def _consume(self) -> tuple[amqp.Connection, amqp.Channel]:
        self._connection = connection = amqp_connection(self._url, timeout=self._timeout)
        connection.connect()
        self._channel = channel = connection.channel()
        channel.basic_qos(prefetch_size=0, prefetch_count=AT_ONCE, a_global=False)
        channel.basic_consume(self._topic, callback=self._arrived.append, on_cancel=_cancelled)
        return connection, channel

    def _away(self, error: Exception) -> BrokerAway:
        self._forget()
        return BrokerAway(f"{shown_url(self._url)}: {str(error) or type(error).__name__}")

    def _forget(self) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        self._arrived.clear()
        self._open.clear()
        if connection is not None:
            with suppress(AMQPError, OSError):
                connection.close()


def _bytes(body: bytes | str) -> bytes:
    """The client decodes the body of a message that names its encoding."""
    return body.encode() if isinstance(body, str) else bytes(body)


def _cancelled(_: str) -> None:
    raise ConnectionResetError("the queue was deleted")
