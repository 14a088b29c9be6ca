"""Messages from NATS JetStream: a durable pull consumer, whose messages come again unless acknowledged."""

import asyncio
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from typing import TypeVar

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig

from everyitem.adapters.nats_client import nats_client
from everyitem.adapters.subscriptions import AT_ONCE, GROUP, REDELIVERY
from everyitem.model.store_url import shown_url
from everyitem.ports.subscription import BrokerAway, Message

T = TypeVar("T")


class NatsSubscription:
    """One subject, by the consumer all services of a store share."""

    def __init__(self, url: str, *, topic: str, timeout: float) -> None:
        """`timeout` in seconds for each step."""
        self._url, self._topic, self._timeout = url, topic, timeout
        self._runner = asyncio.Runner()
        self._client: Client | None = None
        self._messages: JetStreamContext.PullSubscription | None = None

    def receive(self, seconds: float) -> Sequence[Message]:
        return self._do(self._receive(seconds))

    def take(self, message: Message) -> None:
        self._do(message.token.ack_sync(timeout=self._timeout))

    def close(self) -> None:
        self._forget()
        self._runner.close()

    async def _receive(self, seconds: float) -> list[Message]:
        if self._messages is None:
            self._client = await nats_client(self._url, timeout=self._timeout)
            how = ConsumerConfig(ack_policy=AckPolicy.EXPLICIT, ack_wait=REDELIVERY)
            stream = self._client.jetstream(timeout=self._timeout)
            self._messages = await stream.pull_subscribe(self._topic, durable=GROUP, config=how)
        try:
            found = await self._messages.fetch(AT_ONCE, timeout=seconds)
        except nats.errors.TimeoutError:
            if self._client is None or not self._client.is_connected:
                raise
            return []
        return [Message(one.data, one) for one in found]

    def _do(self, what: Awaitable[T]) -> T:
        try:
            return self._runner.run(_awaited(what))
        except nats.js.errors.NotFoundError as error:
            self._forget()
            reason = f"no stream keeps the subject {self._topic!r}; make one (nats stream add)"
            raise BrokerAway(reason) from error
        except (nats.errors.Error, OSError, TimeoutError) as error:
            self._forget()
            raise BrokerAway(f"{shown_url(self._url)}: {str(error) or type(error).__name__}") from error

    def _forget(self) -> None:
        client, self._client, self._messages = self._client, None, None
        if client is not None:
            with suppress(nats.errors.Error, OSError, TimeoutError):
                self._runner.run(asyncio.wait_for(client.close(), self._timeout))


async def _awaited(what: Awaitable[T]) -> T:
    return await what
