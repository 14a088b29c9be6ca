"""Events to NATS JetStream: a publish is acknowledged by the stream that keeps the subject.

Each carries its id as `Nats-Msg-Id`, by which the stream drops what comes again within its window. The
server acknowledges before it syncs its disk (two minutes later at most, by default): what a machine loses
with its power was published all the same.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import nats.errors
import nats.js.errors
from nats.aio.client import Client

from everyitem.adapters.nats_client import nats_client
from everyitem.adapters.publishers.messages import STRUCTURED, header_id, to_json
from everyitem.model.store_url import shown_url
from everyitem.ports.outbox import OutboxEvent
from everyitem.ports.relay import EventsRefused, PublisherAway

#: What a stream answers to a message beyond its own limit (JSStreamMessageExceedsMaximumErr).
_TOO_LARGE: Final = 10054


class NatsPublisher:
    """Puts events into the stream that keeps a subject, one after the other on one connection."""

    at_once = 100

    def __init__(self, url: str, *, topic: str, timeout: float) -> None:
        """`url` is like nats://HOST:4222, `topic` the subject; `timeout` in seconds for each step."""
        self._url, self._topic, self._timeout = url, topic, timeout
        self._runner: asyncio.Runner | None = None
        self._client: Client | None = None
        #: Events of a group the stream has.
        self._taken = 0

    def publish(self, events: Sequence[OutboxEvent]) -> None:
        runner = self._runner = self._runner or asyncio.Runner()
        self._taken = 0
        try:
            runner.run(self._publish(events))
        except nats.errors.MaxPayloadError as error:
            raise EventsRefused(f"larger than the server takes: {error}") from error
        except nats.js.errors.APIError as error:
            if error.err_code == _TOO_LARGE:
                raise EventsRefused(f"larger than the stream takes: {error.description}") from error
            raise self._away(error.description or str(error)) from error
        except nats.js.errors.NoStreamResponseError as error:
            reason = f"no stream keeps the subject {self._topic!r}; make one (nats stream add)"
            raise self._away(reason) from error
        except (nats.errors.Error, OSError, TimeoutError) as error:
            raise self._away(str(error) or type(error).__name__) from error

    def close(self) -> None:
        self._forget()
        if self._runner is not None:
            self._runner.close()
            self._runner = None

    async def _publish(self, events: Sequence[OutboxEvent]) -> None:
        if self._client is None:
            # a connection that is lost is told by the next publish, and the relay says when to try again
            self._client = await nats_client(self._url, timeout=self._timeout)
        stream = self._client.jetstream(timeout=self._timeout)
        for event in events:
            headers = {"Nats-Msg-Id": header_id(event), "content-type": STRUCTURED}
            await stream.publish(self._topic, to_json(event), headers=headers)
            self._taken += 1

    def _away(self, reason: str) -> PublisherAway:
        self._forget()
        return PublisherAway(f"{shown_url(self._url)}: {reason}", partly=self._taken > 0)

    def _forget(self) -> None:
        """The next events go over a new connection."""
        client, self._client = self._client, None
        if client is not None and self._runner is not None:
            with suppress(nats.errors.Error, OSError, TimeoutError):
                self._runner.run(asyncio.wait_for(client.close(), self._timeout))
