"""Messages from a Kafka topic: a consumer group, whose position moves when a message is taken."""

from collections.abc import Sequence
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka import Message as Received

from everyitem.adapters.kafka_url import kafka_properties
from everyitem.adapters.subscriptions import AT_ONCE, GROUP
from everyitem.model.errors import UsageError
from everyitem.model.store_url import shown_url
from everyitem.ports.subscription import BrokerAway, Message

#: Errors of a consumer that goes on by itself, of which nobody need hear.
_PASSING: Final = frozenset({KafkaError._PARTITION_EOF})  # noqa: SLF001 - so librdkafka's own are named


class KafkaSubscription:
    """One topic, by the group all services of a store share."""

    def __init__(self, url: str, *, topic: str, timeout: float) -> None:
        """`timeout` in seconds for each step."""
        self._url, self._topic, self._timeout = url, topic, timeout
        self._properties: dict[str, Any] = kafka_properties(url, timeout=timeout) | {
            "group.id": GROUP,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            # how long a service that died keeps its messages from others
            "session.timeout.ms": 10_000,
        }
        self._consumer: Consumer | None = None
        #: What is wrong with a connection, and with all of them, if anything is.
        self._latest = self._trouble = ""
        #: By partition: received and not taken, in order.
        self._open: dict[int, list[Received]] = {}
        try:
            # a file that is not there, a mechanism nobody knows
            Consumer({**self._properties, "error_cb": self._tell}).close()
        except KafkaException as error:
            raise UsageError(f"[events] url {shown_url(url)!r}: {error}") from error

    def receive(self, seconds: float) -> Sequence[Message]:
        try:
            return self._receive(seconds)
        except KafkaException as error:
            raise self._away(error.args[0].str()) from error

    def take(self, message: Message) -> None:
        received: Received = message.token
        try:
            if self._consumer is None:
                raise self._away("the connection was lost")
            self._consumer.commit(message=received, asynchronous=False)
        except KafkaException as error:
            raise self._away(error.args[0].str()) from error
        self._open[_partition(received)].remove(received)

    def close(self) -> None:
        self._forget()

    def _receive(self, seconds: float) -> list[Message]:
        consumer = self._consumer or self._consume()
        for partition, messages in self._open.items():
            if messages:
                # what was not taken is read again from the first of it on
                consumer.seek(TopicPartition(self._topic, partition, messages[0].offset() or 0))
        self._open.clear()
        found = []
        for one in consumer.consume(AT_ONCE, seconds):
            error = one.error()
            if error is None:
                self._open.setdefault(_partition(one), []).append(one)
                found.append(Message(one.value() or b"", one))
            elif error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise self._away(f"there is no topic {self._topic!r}; make one")
            elif error.code() not in _PASSING:
                raise KafkaException(error)
        if not found and self._trouble:
            raise self._away(self._trouble)
        return found

    def _consume(self) -> Consumer:
        self._latest = self._trouble = ""
        self._consumer = Consumer({**self._properties, "error_cb": self._tell})
        self._consumer.subscribe([self._topic])
        return self._consumer

    def _tell(self, error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001 - so librdkafka's own are named
            self._trouble = self._latest or "no broker answers"
        else:
            self._latest = error.str()

    def _away(self, reason: str) -> BrokerAway:
        self._forget()
        return BrokerAway(f"{shown_url(self._url)}: {reason}")

    def _forget(self) -> None:
        consumer, self._consumer = self._consumer, None
        self._open.clear()
        if consumer is not None:
            consumer.close()


def _partition(message: Received) -> int:
    partition = message.partition()
    assert partition is not None, "only received messages have come here"
    return partition
