"""F17: brokers that are killed while events are published; nothing is lost, and ids tell what came again."""

import asyncio
import json
import signal
from collections.abc import Iterator
from contextlib import closing

import nats
import pytest
from tests.acceptance.conftest import Workspace, workspace
from tests.services.brokers import (
    INBOX,
    TOPIC,
    Broker,
    KafkaBroker,
    NatsBroker,
    RabbitBroker,
    RedisBroker,
    running,
)
from tests.services.http_server import serving
from tests.services.ports import free_port

import everyitem
from everyitem.adapters.publishers import build_publisher
from everyitem.adapters.subscriptions import build_subscription
from everyitem.model.errors import UsageError
from everyitem.ports.outbox import OutboxEvent
from everyitem.ports.relay import EventsRefused, PublisherAway
from everyitem.ports.subscription import BrokerAway
from everyitem.settings.publishing import PublishingSettings

__all__ = ["workspace"]

pytestmark = [pytest.mark.service, pytest.mark.timeout(300)]


#: Those whose starts take long have a test of their own with every change.
LONG = [pytest.param(kind, marks=pytest.mark.long) for kind in (KafkaBroker, RabbitBroker)]


@pytest.fixture(params=[NatsBroker, RedisBroker, *LONG])
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    with running(request.param) as made:
        yield made


def settings_of(broker: Broker, **more: object) -> PublishingSettings:
    return PublishingSettings(publisher=broker.publisher, url=broker.url, timeout_seconds=5.0, **more)


def event(number: int, data: bytes = b'{"a":1.50}') -> OutboxEvent:
    return OutboxEvent(f"b\u00e4@1/checkpoint/{number}", "CheckpointCreated", "b\u00e4", 0.0, data, number)


def test_events_are_kept_in_order_with_every_digit(broker):
    """Whole CloudEvents, as over HTTP."""
    publisher = build_publisher(settings_of(broker))
    publisher.publish([event(1), event(2)])
    publisher.publish([event(3)])
    publisher.close()
    kept = broker.kept()
    assert [one["sequence"] for one in kept] == [1, 2, 3]
    assert (kept[0]["id"], kept[0]["specversion"]) == ("b\u00e4@1/checkpoint/1", "1.0")


def test_a_broker_that_is_killed_is_away_and_found_again(broker):
    """What it had acknowledged it still has; the publisher needs no restart."""
    publisher = build_publisher(settings_of(broker))
    publisher.publish([event(1)])
    broker.kill()
    with pytest.raises(PublisherAway):
        publisher.publish([event(2)])
    broker.start()
    publisher.publish([event(2)])
    publisher.close()
    assert [one["sequence"] for one in broker.kept()] == [1, 2]


def publish(workspace: Workspace, broker: Broker, **more: object) -> None:
    """Have the workspace's events go to a broker."""
    config = {"publisher": broker.publisher, "url": broker.url, **more}
    lines = [f"{name} = {json.dumps(value)}" for name, value in config.items()]
    (workspace.folder / "everyitem.toml").write_text("[events]\n" + "\n".join(lines) + "\n")


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.long)])
def test_a_broker_killed_while_a_batch_publishes_loses_nothing(workspace: Workspace, broker, kills):
    """Every event is there at least once, and first in its order; the batch does not notice."""
    publish(workspace, broker, flushSeconds=60, timeoutSeconds=5)
    path = workspace.document(
        list(range(600)),
        parameters={"gate": str(workspace.folder / "gate"), "holdAfter": 300},
        configuration={"checkpointInterval": 1},
        allocatedResources={"nodes": [{"kind": "thread", "slots": 2}]},
    )
    batch = workspace.start("run", path, "--no-progress")
    for _ in range(kills):
        workspace.status_when(lambda status: status["succeeded"] >= 200)
        broker.kill()
        broker.start()
    workspace.open_gate()
    assert batch.end().returncode == 0
    told = [json.loads(line)["id"] for line in workspace.do("events", "b").stdout.splitlines()]
    kept = list(dict.fromkeys(one["id"] for one in broker.kept()))
    assert kept == told


@pytest.mark.parametrize(
    ("kind", "no_topic", "nothing_to_hear"),
    [
        (RabbitBroker, "there is no exchange 'elsewhere'", "there is no queue 'elsewhere'"),
        (KafkaBroker, "there is no topic 'elsewhere'", "there is no topic 'elsewhere'"),
    ],
)
def test_what_is_acknowledged_is_kept_and_what_nobody_took_comes_again(kind, no_topic, nothing_to_hear):
    """One start and one kill for all of it, which take these brokers seconds; both directions."""
    with running(kind) as broker:
        publisher = build_publisher(settings_of(broker))
        publisher.publish([event(number) for number in range(1, 251)])
        assert [one["sequence"] for one in broker.kept()] == list(range(1, 251))
        other = build_publisher(settings_of(broker, topic="elsewhere"))
        with closing(other), pytest.raises(PublisherAway, match=no_topic):
            other.publish([event(1)])
        deaf = build_subscription(broker.publisher, broker.url, "elsewhere", 5.0)
        with closing(deaf), pytest.raises(BrokerAway, match=nothing_to_hear):
            received(deaf, 1)

        subscription = build_subscription(broker.publisher, broker.url, INBOX, 5.0)
        broker.send({"id": "1"}, {"id": "2"})
        first, second = received(subscription, 2)
        subscription.take(first)
        # it could not be taken in: it comes again
        (again,) = received(subscription, 1)
        assert again.body == second.body

        broker.kill()
        with pytest.raises(PublisherAway):
            publisher.publish([event(251)])
        with pytest.raises(BrokerAway):
            received(subscription, 1)
        broker.start()
        publisher.publish([event(251)])
        # what was under way when the answer was missing may be there twice, known by its id
        assert list(dict.fromkeys(one["sequence"] for one in broker.kept())) == list(range(1, 252))
        # the acknowledgement of the first one may not have reached the disk: it is known by its id
        *_, again = kept = received(subscription, 1)
        assert again.body == second.body
        for message in kept:
            subscription.take(message)
        assert subscription.receive(0.1) == []
        publisher.close()
        subscription.close()


@pytest.mark.long
def test_rabbitmq_waits_for_a_queue_that_gets_the_events():
    """An exchange that is bound to nothing would drop them."""
    with running(RabbitBroker) as broker:
        publisher = build_publisher(settings_of(broker, topic="amq.topic"))
        reason = r"no queue is bound to the exchange 'amq\.topic'"
        with closing(publisher), pytest.raises(PublisherAway, match=reason):
            publisher.publish([event(1)])


@pytest.mark.long
def test_what_rabbitmq_has_queues_for_does_not_come_again_and_again(workspace: Workspace):
    """While one type of events waits for a queue; an alternate exchange takes what nobody else does."""
    with running(RabbitBroker) as broker:
        bound_to(broker, "BatchStarted")
        publish(workspace, broker, flushSeconds=3)
        path = workspace.document([1, 2], configuration={"checkpointInterval": 1})
        assert workspace.do("run", path, "--no-progress").returncode == 0
        # the first group, the first of it by itself
        assert 1 <= len(broker.kept()) <= 2
        with broker.channel() as channel:
            channel.exchange_declare("others", "fanout", durable=True, auto_delete=False)
            channel.queue_declare("others", durable=True, auto_delete=False)
            channel.queue_bind("others", "others")
            channel.exchange_delete(TOPIC)
            channel.exchange_declare(
                TOPIC, "topic", durable=True, auto_delete=False, arguments={"alternate-exchange": "others"}
            )
        bound_to(broker, "BatchExecuted")
        assert workspace.do("run", path, "--no-progress").returncode == 0
        assert broker.kept()[-1]["type"] == "BatchExecuted"


def bound_to(broker: RabbitBroker, kind: str) -> None:
    """Let the queue get events of one type."""
    with broker.channel() as channel:
        channel.queue_unbind("kept", TOPIC, "#")
        channel.queue_bind("kept", TOPIC, kind)


@pytest.mark.long
def test_kafka_keeps_the_order_of_each_batch_over_partitions():
    """The batch is the key; and what is too large is refused, and the next event is not."""
    with running(KafkaBroker) as broker:
        publisher = build_publisher(settings_of(broker))
        batches = [f"b{number}" for number in range(20)]
        publisher.publish([of_batch(batch, number) for number in range(5) for batch in batches])
        kept = broker.kept()
        for batch in batches:
            assert [one["sequence"] for one in kept if one["data"]["batchId"] == batch] == list(range(5))
        with pytest.raises(EventsRefused, match="larger than the broker takes"):
            publisher.publish([event(1, b'"' + b"x" * (2 << 20) + b'"')])
        publisher.publish([event(2)])
        publisher.close()
        assert [one["sequence"] for one in broker.kept() if one["subject"] == "b\u00e4"] == [2]


def of_batch(batch: str, number: int) -> OutboxEvent:
    """An event of a batch; every other one is about an item of it."""
    kind, subject = ("ItemFailed", f"{batch}/{number}") if number % 2 else ("CheckpointCreated", batch)
    data = json.dumps({"batchId": batch}).encode()
    return OutboxEvent(f"{batch}@1/{kind}/{number}", kind, subject, 0.0, data, number)


def received(subscription, count):
    """So many messages, in order; bounded by the test's own timeout."""
    found = []
    while len(found) < count:
        found = subscription.receive(1.0)
    return found


def test_a_message_that_is_too_large_is_refused_and_not_waited_for():
    """It would be too large again; NATS takes a megabyte by default."""
    with running(NatsBroker) as broker:
        publisher = build_publisher(settings_of(broker))
        with pytest.raises(EventsRefused, match="larger than the server takes"):
            publisher.publish([event(1, b'"' + b"x" * (2 << 20) + b'"')])
        publisher.publish([event(2)])
        publisher.close()
        assert [one["sequence"] for one in broker.kept()] == [2]


def test_a_message_beyond_the_limit_of_its_stream_is_refused_too():
    """It is the event's fault: waited for, it would keep all the others waiting for ever."""
    with running(NatsBroker) as broker:
        asyncio.run(limit(broker, 400))
        publisher = build_publisher(settings_of(broker))
        with pytest.raises(EventsRefused, match="larger than the stream takes"):
            publisher.publish([event(1, b'"' + b"x" * 500 + b'"')])
        publisher.publish([event(2)])
        publisher.close()
        assert [one["sequence"] for one in broker.kept()] == [2]


async def limit(broker: Broker, size: int) -> None:
    """Let the stream of events take messages of so many bytes at most."""
    client = await nats.connect(broker.url)
    stream = client.jetstream()
    await stream.update_stream((await stream.stream_info("events")).config, max_msg_size=size)
    await client.close()


def test_a_subject_no_stream_keeps_is_said():
    """Without one nothing would be kept: the events wait."""
    with running(NatsBroker) as broker:
        publisher = build_publisher(settings_of(broker, topic="elsewhere"))
        with pytest.raises(PublisherAway, match="no stream keeps the subject 'elsewhere'"):
            publisher.publish([event(1)])
        publisher.close()


def test_what_nats_has_already_it_drops_by_its_id():
    """An answer that got lost makes no second message within the stream's window."""
    with running(NatsBroker) as broker:
        publisher = build_publisher(settings_of(broker))
        publisher.publish([event(1)])
        publisher.publish([event(1), event(2)])
        publisher.close()
        assert [one["sequence"] for one in broker.kept()] == [1, 2]


@pytest.mark.parametrize("kind", ["kafka", "nats", "rabbitmq", "redis"])
def test_why_a_broker_is_not_reached_is_said_both_ways(kind):
    """'It timed out' helps nobody: whether it runs, its name and its certificate are to be looked at."""
    url = f"{'amqp' if kind == 'rabbitmq' else kind}://127.0.0.1:{free_port()}/"
    publisher = build_publisher(PublishingSettings(publisher=kind, url=url, timeout_seconds=3.0))
    with closing(publisher), pytest.raises(PublisherAway, match=r"refused|Connect call failed"):
        publisher.publish([event(1)])
    subscription = build_subscription(kind, url, INBOX, 3.0)
    with closing(subscription), pytest.raises(BrokerAway, match=r"refused|Connect call failed"):
        received(subscription, 1)


def test_a_url_of_another_kind_is_refused():
    """At the start, not with the first event."""
    with pytest.raises(UsageError, match="url"):
        build_publisher(PublishingSettings(publisher="redis", url="http://x/"))
    for url in (
        "http://x/",
        "kafka://",
        "kafka://x/topic",
        "kafka://x?acks=0",
        "kafka+ssl://x?ssl.ca.location=/none",
    ):
        with pytest.raises(UsageError, match="url"):
            build_publisher(PublishingSettings(publisher="kafka", url=url))
    for url in ("http://x/", "amqp://x:port/", "amqp://x/?verify=no", "amqps://x/?cacertfile=/none"):
        with pytest.raises(UsageError, match="url"):
            build_publisher(PublishingSettings(publisher="rabbitmq", url=url))


@pytest.mark.parametrize("publisher", ["kafka", "rabbitmq", "redis", "webhook"])
@pytest.mark.parametrize("place", ["u:s3c/ret@h", "u:s3cret@h:99999", ":s3cret@[::1", "u:s3cret@h/a b"])
def test_a_url_that_is_refused_does_not_show_its_password(publisher, place):
    """Not even a part of it, which a client takes for a port."""
    scheme = {"rabbitmq": "amqp", "webhook": "https"}.get(publisher, publisher)
    said = ""
    try:
        build_publisher(PublishingSettings(publisher=publisher, url=f"{scheme}://{place}/")).close()
    except UsageError as refused:
        said = str(refused)
    assert "s3c" not in said


def brought(number: int, document: dict[str, object]) -> dict[str, object]:
    """An event that starts a batch."""
    named = document | {"batchId": f"brought-{number}"}
    return {
        "specversion": "1.0", "id": f"{number}", "source": "/t", "type": "BatchInitialized", "data": named
    }  # fmt: skip


@pytest.mark.parametrize(
    "broker",
    [NatsBroker, pytest.param(RedisBroker, marks=pytest.mark.long), *LONG],
    indirect=True,
)
def test_a_service_carries_out_what_comes_through_a_broker(workspace: Workspace, broker, root):
    """Each once, although events come twice, the broker is killed, and so is the service."""
    config = workspace.folder / "everyitem.toml"
    config.write_text(
        f'[events]\npublisher = "{broker.publisher}"\nurl = "{broker.url}"\nlisten = "{INBOX}"\n'
    )
    document = json.loads(workspace.document([1, 2, 3]).read_text())
    events = [brought(number, document) for number in range(6)]
    broker.send({"specversion": "1.0", "id": "x", "source": "/t", "type": "Nonsense"}, *events[:2])
    arguments = ("--processors", workspace.processors)
    with serving(workspace.folder, root / "src", *arguments) as first, everyitem.connect(first.url) as client:
        wait_for(client, "brought-0", "brought-1")
        broker.kill()
        broker.start()
        broker.send(*events[:4])
        wait_for(client, "brought-2")
        first.process.send_signal(signal.SIGKILL)
        first.process.wait()
    broker.send(*events)
    with (
        serving(workspace.folder, root / "src", *arguments) as second,
        everyitem.connect(second.url) as client,
    ):
        wait_for(client, *(f"brought-{number}" for number in range(6)))
        assert {one.state for one in client.list()} == {"COMPLETED"}
        assert len(client.list()) == 6
    assert len(set(workspace.calls())) == 18


def wait_for(client: everyitem.Client, *batch_ids: str) -> None:
    """Until these batches are complete; bounded by the test's own timeout."""
    for batch_id in batch_ids:
        while batch_id not in {one.batch_id for one in client.list()}:
            pass
        client.wait(batch_id, timeout=60)
