"""Brokers over TLS and with passwords: whoever is not who he says gets no event."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.faults.test_brokers import event, received
from tests.services.authority import Authority
from tests.services.brokers import INBOX, Broker, KafkaBroker, RabbitBroker
from tests.services.ports import free_port

from everyitem.adapters.publishers import build_publisher
from everyitem.adapters.subscriptions import build_subscription
from everyitem.ports.relay import Publisher, PublisherAway
from everyitem.settings.publishing import PublishingSettings

pytestmark = [pytest.mark.service, pytest.mark.long, pytest.mark.timeout(300)]

#: As it stands in a URL, with what has to be escaped there.
PASSWORD, ESCAPED = "p@ss/word", "p%40ss%2Fword"


class SecuredRabbit(RabbitBroker):
    """RabbitMQ that also listens with TLS."""

    user = "guest:guest@"
    scheme, authority_option = "amqps", "cacertfile"

    def __init__(self, authority: Authority) -> None:
        super().__init__()
        self.secured_port = free_port()
        certificate, key = authority.issue("localhost")
        (self.folder / "rabbitmq.conf").write_text(
            f"listeners.ssl.default = {self.secured_port}\nssl_options.verify = verify_none\n"
            f"ssl_options.cacertfile = {authority.certificate}\n"
            f"ssl_options.certfile = {certificate}\nssl_options.keyfile = {key}\n"
        )

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf")}


class SecuredKafka(KafkaBroker):
    """Kafka that also listens with TLS and asks for a password."""

    user = f"ada:{ESCAPED}@"
    scheme, authority_option = "kafka+ssl", "ssl.ca.location"

    def __init__(self, authority: Authority) -> None:
        super().__init__()
        self.secured_port = free_port()
        certificate, key = authority.issue("localhost")
        self._identity = self.folder / "identity.pem"
        self._identity.write_text(key.read_text() + certificate.read_text())

    def settings(self) -> dict[str, str]:
        usual = super().settings()
        secured = f"SASL_SSL://localhost:{self.secured_port}"
        module = "org.apache.kafka.common.security.plain.PlainLoginModule"
        return {
            **usual,
            "listeners": f"{secured},{usual['listeners']}",
            "advertised.listeners": f"{secured},{usual['advertised.listeners']}",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL",
            "sasl.enabled.mechanisms": "PLAIN",
            "listener.name.sasl_ssl.plain.sasl.jaas.config": f'{module} required user_ada="{PASSWORD}";',
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self._identity),
        }


Secured = SecuredRabbit | SecuredKafka


@pytest.fixture(params=[SecuredRabbit, SecuredKafka])
def broker(request: pytest.FixtureRequest, authority: Authority) -> Iterator[Secured]:
    made: Secured = request.param(authority)
    made.start()
    yield made
    made.kill()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def url_of(broker: Secured, authority: Authority, **other: str) -> str:
    """Where a broker is, for who knows all he needs to know; `other` is what he has wrong."""
    user, host = other.get("user", broker.user), other.get("host", "localhost")
    certificate = other.get("certificate", str(authority.certificate))
    return f"{broker.scheme}://{user}{host}:{broker.secured_port}?{broker.authority_option}={certificate}"


def publisher_to(broker: Broker, url: str) -> Publisher:
    return build_publisher(PublishingSettings(publisher=broker.publisher, url=url, timeout_seconds=5.0))


def test_events_go_both_ways_over_tls(broker: Secured, authority: Authority) -> None:
    """To a server the authority vouches for, under the name it is called by."""
    url = url_of(broker, authority)
    with closing(publisher_to(broker, url)) as publisher:
        publisher.publish([event(number) for number in range(1, 301)])
        publisher.publish([event(301)])
    assert [one["sequence"] for one in broker.kept()] == list(range(1, 302))
    broker.send({"id": "1"}, {"id": "2"})
    with closing(build_subscription(broker.publisher, url, INBOX, 5.0)) as subscription:
        messages = received(subscription, 2)
        assert [one.body for one in messages] == [b'{"id": "1"}', b'{"id": "2"}']
        for message in messages:
            subscription.take(message)


def test_who_cannot_prove_who_he_is_gets_no_event(
    broker: Secured, authority: Authority, tmp_path: Path
) -> None:
    """A server with another name, or that another authority vouches for; why is said."""
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other").certificate
    for url in (
        url_of(broker, authority, certificate=str(other)),
        url_of(broker, authority, host="127.0.0.1"),
    ):
        publisher = publisher_to(broker, url)
        with closing(publisher), pytest.raises(PublisherAway, match="certificate"):
            publisher.publish([event(1)])
    assert broker.kept() == []


def test_a_password_that_is_wrong_is_said_and_not_shown(broker: Secured, authority: Authority) -> None:
    """The operator mends it; the events wait meanwhile."""
    name = broker.user.partition(":")[0]
    publisher = publisher_to(broker, url_of(broker, authority, user=f"{name}:hunter2@"))
    with closing(publisher), pytest.raises(PublisherAway, match=r"(?i)refused|authentication") as away:
        publisher.publish([event(1)])
    assert "hunter2" not in str(away.value)
