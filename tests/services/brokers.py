"""Brokers of Debian's, started and killed at will."""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from tests.services.debian import need
from tests.services.maven import kafka_libraries
from tests.services.ports import free_port

TOPIC = "everyitem.events"
INBOX = "everyitem.inbox"
#: Seconds to start.
PATIENCE = 120.0


class Broker(Protocol):
    """A broker, and what it keeps."""

    publisher: str
    url: str

    def start(self) -> None: ...

    def kill(self) -> None: ...

    def kept(self) -> list[dict[str, Any]]:
        """The events it has, in order."""
        ...

    def send(self, *events: dict[str, Any]) -> None:
        """Put events of others into what services listen to."""
        ...


class _Server:
    """One server with a folder of its own, which outlives its process."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="everyitem-broker-"))
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        return {}

    def start(self) -> None:
        self._process = subprocess.Popen(
            self.command(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.folder,
            env={**os.environ, **self.environment()},
            start_new_session=True,
        )
        while True:
            assert self._process.poll() is None, "the broker does not start"
            try:
                socket.create_connection(("127.0.0.1", self.port), PATIENCE).close()
                return
            except ConnectionRefusedError:
                threading.Event().wait(0.02)  # its start needs the processor more than we do

    def kill(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


class NatsBroker(_Server):
    """NATS with JetStream, and a stream that keeps the subject."""

    publisher = "nats"

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        program = need("nats-server", packages=("nats-server",))
        return [program, "-js", "-a", "127.0.0.1", "-p", str(self.port), "-sd", str(self.folder)]

    def start(self) -> None:
        super().start()
        asyncio.run(self._make_stream())

    async def _make_stream(self) -> None:
        import nats

        client = await nats.connect(self.url)
        await client.jetstream().add_stream(name="events", subjects=[TOPIC])
        await client.jetstream().add_stream(name="inbox", subjects=[INBOX])
        await client.close()

    def kept(self) -> list[dict[str, Any]]:
        return asyncio.run(self._read())

    async def _read(self) -> list[dict[str, Any]]:
        import nats

        client = await nats.connect(self.url)
        stream = client.jetstream()
        count = (await stream.stream_info("events")).state.messages
        subscription = await stream.subscribe(TOPIC, ordered_consumer=True)
        found = [json.loads((await subscription.next_msg(PATIENCE)).data) for _ in range(count)]
        await client.close()
        return found

    def send(self, *events: dict[str, Any]) -> None:
        asyncio.run(self._send(events))

    async def _send(self, events: tuple[dict[str, Any], ...]) -> None:
        import nats

        client = await nats.connect(self.url)
        for event in events:
            await client.jetstream().publish(INBOX, json.dumps(event).encode())
        await client.close()


class RedisBroker(_Server):
    """Redis with a log it writes at once."""

    publisher = "redis"

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        program = need("redis-server", packages=("redis-server",))
        options = ["--bind", "127.0.0.1", "--appendonly", "yes", "--appendfsync", "always", "--save", ""]
        return [program, "--port", str(self.port), "--dir", str(self.folder), *options]

    def start(self) -> None:
        import redis

        super().start()
        with redis.Redis.from_url(self.url) as client:
            while True:
                try:
                    client.ping()
                    return
                except redis.exceptions.BusyLoadingError:
                    threading.Event().wait(0.02)

    def kept(self) -> list[dict[str, Any]]:
        import redis

        with redis.Redis.from_url(self.url) as client:
            entries: Any = client.xrange(TOPIC)
        return [json.loads(fields[b"event"]) for _, fields in entries]

    def send(self, *events: dict[str, Any]) -> None:
        import redis

        with redis.Redis.from_url(self.url) as client:
            for event in events:
                client.xadd(INBOX, {"event": json.dumps(event)})


class RabbitBroker(_Server):
    """RabbitMQ with an exchange, a queue that gets everything from it, and one for events of others."""

    publisher = "rabbitmq"

    def __init__(self) -> None:
        super().__init__()
        self._names_port = free_port()
        self._names: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    def command(self) -> list[str]:
        need("rabbitmqctl", packages=("rabbitmq-server",))
        # the one in the path is Debian's, which changes the user and with it the place of everything
        return ["/usr/lib/rabbitmq/bin/rabbitmq-server"]

    def environment(self) -> dict[str, str]:
        (self.folder / "plugins").write_text("[].")
        places = {"MNESIA_BASE": "data", "LOG_BASE": "log", "ENABLED_PLUGINS_FILE": "plugins"}
        places |= {"CONF_ENV_FILE": "no-environment", "CONFIG_FILE": "no-configuration", "PID_FILE": "pid"}
        return {
            **{f"RABBITMQ_{name}": str(self.folder / place) for name, place in places.items()},
            "HOME": str(self.folder),
            "RABBITMQ_NODENAME": "everyitem@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "ERL_EPMD_PORT": str(self._names_port),
        }

    def start(self) -> None:
        assert Path(self.command()[0]).exists()
        # Erlang's directory of nodes: one of our own, which would be left running if the node started it
        names = ["epmd", "-address", "127.0.0.1", "-port", str(self._names_port)]
        self._names = subprocess.Popen(names, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        super().start()
        self._await_ready()
        with self.channel() as channel:
            channel.exchange_declare(TOPIC, "topic", durable=True, auto_delete=False)
            for queue in ("kept", INBOX):
                channel.queue_declare(queue, durable=True, auto_delete=False)
            channel.queue_bind("kept", TOPIC, "#")

    def kill(self) -> None:
        super().kill()
        if self._names is not None:
            self._names.kill()
            self._names.wait()
            self._names = None

    def kept(self) -> list[dict[str, Any]]:
        with self.channel() as channel:
            found = []
            while (message := channel.basic_get("kept")) is not None:
                found.append(json.loads(message.body))
        # what was not acknowledged goes back into its place
        return found

    def send(self, *events: dict[str, Any]) -> None:
        import amqp

        with self.channel() as channel:
            channel.confirm_select()
            for event in events:
                message = amqp.Message(json.dumps(event), delivery_mode=2)
                channel.basic_publish_confirm(message, routing_key=INBOX)

    def _await_ready(self) -> None:
        """It listens before it is ready, and resets who comes too early."""
        import amqp

        while True:
            try:
                with self.channel():
                    return
            except (ConnectionError, amqp.exceptions.AMQPError):
                threading.Event().wait(0.1)

    @contextmanager
    def channel(self) -> Iterator[Any]:
        """For whatever else is to be set up."""
        import amqp

        with amqp.Connection(f"127.0.0.1:{self.port}") as connection, connection.channel() as channel:
            yield channel


class KafkaBroker(_Server):
    """Kafka as one node that is broker and controller, and its two topics."""

    publisher = "kafka"

    def __init__(self) -> None:
        super().__init__()
        self._controller_port = free_port()

    @property
    def url(self) -> str:
        return f"kafka://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        return [*self._java(), "kafka.Kafka", str(self._configuration())]

    def start(self) -> None:
        if not (self.folder / "data").exists():
            tool = [
                *self._java(),
                "kafka.tools.StorageTool",
                "format",
                "--cluster-id",
                "MkU3OEVBNTcwNTJENDM2Qg",
            ]
            subprocess.run([*tool, "--config", self._configuration()], check=True, capture_output=True)
        super().start()
        from confluent_kafka.admin import AdminClient, NewTopic

        # several partitions: the order within a batch must not depend on there being one
        topics = [NewTopic(TOPIC, 3), NewTopic(INBOX, 1)]
        admin = AdminClient({"bootstrap.servers": f"127.0.0.1:{self.port}", "log_level": 0})
        for made in admin.create_topics(topics).values():
            with suppress(KafkaException):  # it is there already
                made.result(PATIENCE)

    def kept(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        consumer = self._consumer()
        ends = {
            number: consumer.get_watermark_offsets(TopicPartition(TOPIC, number), PATIENCE)[1]
            for number in range(3)
        }
        consumer.assign([TopicPartition(TOPIC, number, 0) for number in ends])
        while len(found) < sum(ends.values()):
            message = consumer.poll(PATIENCE)
            assert message is not None
            assert message.error() is None
            found.append(json.loads(message.value()))
        consumer.close()
        return found

    def send(self, *events: dict[str, Any]) -> None:
        producer = Producer({"bootstrap.servers": f"127.0.0.1:{self.port}", "log_level": 0})
        for event in events:
            producer.produce(INBOX, json.dumps(event))
        assert producer.flush(PATIENCE) == 0

    def _consumer(self) -> Consumer:
        where = {"bootstrap.servers": f"127.0.0.1:{self.port}", "log_level": 0}
        return Consumer({**where, "group.id": "a test", "auto.offset.reset": "earliest"})

    def _java(self) -> list[str]:
        java = need("java", packages=("openjdk-17-jre-headless",))
        small = ["-Xmx384m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
        return [java, *small, "-cp", f"{kafka_libraries()}/*"]

    def _configuration(self) -> Path:
        path = self.folder / "server.properties"
        path.write_text("".join(f"{name}={value}\n" for name, value in self.settings().items()))
        return path

    def settings(self) -> dict[str, str]:
        """What the server is started with."""
        here, controller = f"127.0.0.1:{self.port}", f"127.0.0.1:{self._controller_port}"
        return {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{controller}",
            "listeners": f"PLAINTEXT://{here},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{here}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": str(self.folder / "data"),
            "log.flush.interval.messages": "1",
            "auto.create.topics.enable": "false",
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            "broker.heartbeat.interval.ms": "300",
            "broker.session.timeout.ms": "1500",
        }


AnyBroker = KafkaBroker | NatsBroker | RabbitBroker | RedisBroker


@contextmanager
def running(kind: type[AnyBroker]) -> Iterator[AnyBroker]:
    """A broker for a while."""
    broker = kind()
    broker.start()
    try:
        yield broker
    finally:
        broker.kill()
        shutil.rmtree(broker.folder, ignore_errors=True)
