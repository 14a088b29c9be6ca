"""Events to a RabbitMQ exchange: each is persistent, routed by its type, and confirmed by the broker.

AMQP 0-9-1 has no CloudEvents binding of its own (CloudEvents' is for AMQP 1.0), so a message carries the
whole event in the structured mode, as with the other brokers.
"""

from collections.abc import Sequence
from contextlib import suppress

import amqp
from amqp.exceptions import AMQPError, NotFound, PreconditionFailed

from everyitem.adapters.amqp_url import amqp_connection
from everyitem.adapters.publishers.messages import STRUCTURED, header_id, to_json
from everyitem.model.store_url import shown_url
from everyitem.ports.outbox import OutboxEvent
from everyitem.ports.relay import EventsRefused, PublisherAway


class RabbitPublisher:
    """Hands events to an exchange, some under way at a time on one channel, which keeps their order."""

    at_once = 100

    def __init__(self, url: str, *, topic: str, timeout: float) -> None:
        """`url` is like amqp://USER@HOST:5672/VHOST, `topic` the exchange; `timeout` in seconds a step."""
        amqp_connection(url, timeout=timeout)
        self._url, self._topic, self._timeout = url, topic, timeout
        self._connection: amqp.Connection | None = None
        self._confirms: _Confirms | None = None

    def publish(self, events: Sequence[OutboxEvent]) -> None:
        try:
            self._publish(events)
        except NotFound as error:
            raise self._away(f"there is no exchange {self._topic!r}; declare one of type topic") from error
        except PreconditionFailed as error:
            self._forget()
            raise EventsRefused(f"the broker does not take it: {error}") from error
        except (AMQPError, OSError) as error:
            raise self._away(str(error) or type(error).__name__) from error

    def close(self) -> None:
        self._forget()

    def _publish(self, events: Sequence[OutboxEvent]) -> None:
        connection, confirms = self._connection, self._confirms
        if connection is None or confirms is None:
            # without heartbeats: between two groups of events nobody would be there to answer them
            self._connection = connection = amqp_connection(self._url, timeout=self._timeout)
            connection.connect()
            self._confirms = confirms = _Confirms(connection.channel())
        for event in events:
            message = amqp.Message(
                to_json(event),
                message_id=header_id(event),
                type=event.type,
                content_type=STRUCTURED,
                delivery_mode=2,  # persistent
            )
            confirms.publish(message, self._topic, event.type)
        while confirms.are_awaited:
            connection.drain_events(timeout=self._timeout)
        if confirms.returned:
            reason = f"no queue is bound to the exchange {self._topic!r} for {confirms.returned!r}"
            raise self._away(reason, partly=True)
        if confirms.refused:
            reason = f"a queue bound to the exchange {self._topic!r} takes no more now"
            raise self._away(reason, partly=True)

    def _away(self, reason: str, *, partly: bool = False) -> PublisherAway:
        self._forget()
        return PublisherAway(f"{shown_url(self._url)}: {reason}", partly=partly)

    def _forget(self) -> None:
        """The next events go over a new connection."""
        connection, self._connection, self._confirms = self._connection, None, None
        if connection is not None:
            with suppress(AMQPError, OSError):
                connection.close()


class _Confirms:
    """What the broker says of the messages of one channel."""

    def __init__(self, channel: amqp.Channel) -> None:
        self._channel = channel
        self._sent = 0
        self._awaited: set[int] = set()
        #: A type of events no queue is there for, and whether a queue took one of them not.
        self.returned = ""
        self.refused = False
        channel.confirm_select()
        channel.events["basic_ack"].add(self._settle)
        channel.events["basic_nack"].add(self._refuse)
        channel.events["basic_return"].add(self._return)

    @property
    def are_awaited(self) -> bool:
        """Whether some messages are neither confirmed nor refused."""
        return bool(self._awaited)

    def publish(self, message: amqp.Message, exchange: str, key: str) -> None:
        """Send one and wait for nothing."""
        self._channel.basic_publish(message, exchange=exchange, routing_key=key, mandatory=True)
        self._sent += 1
        self._awaited.add(self._sent)

    def _settle(self, tag: int, multiple: bool) -> None:
        if multiple:
            self._awaited = {one for one in self._awaited if one > tag}
        else:
            self._awaited.discard(tag)

    def _refuse(self, tag: int, multiple: bool) -> None:
        self.refused = True
        self._settle(tag, multiple)

    def _return(self, error: AMQPError, exchange: str, key: str, message: amqp.Message) -> None:
        # a message that is returned is confirmed next
        self.returned = key
