"""Events to a Kafka topic: acknowledged by all in-sync replicas, those of a batch in one partition.

The producer is idempotent: what it sends again itself is kept once, and in order. Messages are CloudEvents in
the structured mode of the Kafka binding.
"""

from collections.abc import Sequence
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from everyitem.adapters.kafka_url import kafka_properties
from everyitem.adapters.publishers.messages import STRUCTURED, batch_of, to_json
from everyitem.model.errors import UsageError
from everyitem.model.store_url import shown_url
from everyitem.ports.outbox import OutboxEvent
from everyitem.ports.relay import EventsRefused, PublisherAway

_TOO_LARGE: Final = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG_SIZE})
_NO_TOPIC: Final = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001 - so librdkafka's own errors are named
    }
)


class KafkaPublisher:
    """Hands events to one topic, some of them under way at a time."""

    at_once = 100

    def __init__(self, url: str, *, topic: str, timeout: float) -> None:
        """`url` is like kafka://HOST:9092 (see `kafka_properties`); `timeout` in seconds a step."""
        self._url, self._topic, self._timeout = url, topic, timeout
        self._properties: dict[str, Any] = kafka_properties(url, timeout=timeout) | {
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": 2,
            "message.timeout.ms": round(timeout * 1000),
            # a topic that is not there is said, and not only after the time for messages is over
            "topic.metadata.propagation.max.ms": min(2000, round(timeout * 500)),
        }
        self._producer: Producer | None = None
        #: What became of the events of a group: how many are acknowledged, and errors of others.
        self._acknowledged = 0
        self._errors: list[KafkaError] = []
        #: What the client says of its connections: why a message was not acknowledged in time.
        self._trouble = ""
        try:
            # a file that is not there, a mechanism nobody knows
            self._open()
        except KafkaException as error:
            raise UsageError(f"[events] url {shown_url(url)!r}: {error}") from error

    def publish(self, events: Sequence[OutboxEvent]) -> None:
        producer = self._producer or self._open()
        self._errors.clear()
        self._acknowledged, self._trouble = 0, ""
        try:
            for event in events:
                producer.produce(
                    self._topic,
                    to_json(event),
                    # its partition: events of a batch keep their order
                    key=batch_of(event).encode(),
                    headers={"content-type": STRUCTURED.encode()},
                    on_delivery=self._delivered,
                )
        except KafkaException as error:
            self._errors.append(error.args[0])
        if producer.flush(self._timeout + 1) and not self._errors:
            raise self._away(self._trouble or "it does not acknowledge in time")
        if self._errors:
            raise self._wrong(self._errors[0])

    def close(self) -> None:
        self._forget()

    def _open(self) -> Producer:
        self._producer = Producer({**self._properties, "error_cb": self._tell})
        return self._producer

    def _tell(self, error: KafkaError) -> None:
        # that all brokers are down follows what is wrong with each of them
        if error.code() != KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001 - so librdkafka's own are named
            self._trouble = error.str()

    def _delivered(self, error: KafkaError | None, _: Message) -> None:
        if error is None:
            self._acknowledged += 1
        else:
            self._errors.append(error)

    def _wrong(self, error: KafkaError) -> Exception:
        if error.code() in _TOO_LARGE:
            return EventsRefused(f"larger than the broker takes: {error.str()}")
        if error.code() == KafkaError.INVALID_RECORD:
            return EventsRefused(f"the broker does not take it: {error.str()}")
        if error.code() in _NO_TOPIC:
            return self._away(f"there is no topic {self._topic!r}; make one")
        return self._away(self._trouble or error.str())

    def _away(self, reason: str) -> PublisherAway:
        self._forget()
        # partitions whose leader is gone say nothing about the others
        return PublisherAway(f"{shown_url(self._url)}: {reason}", partly=self._acknowledged > 0)

    def _forget(self) -> None:
        """The next events go by a new producer; what this one still holds is offered again by the relay."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.purge()
            producer.flush(0)
