"""Events by HTTP: how they are sent and signed, and what answers mean."""

import base64
import hashlib
import hmac
import http.server
import ipaddress
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from tests.services.receiver import Receiver, receiving

from everyitem.adapters.publishers import build_publisher
from everyitem.adapters.publishers.webhook import WebhookPublisher, is_public
from everyitem.model.errors import UsageError
from everyitem.ports.outbox import OutboxEvent
from everyitem.ports.relay import EventsRefused, PublisherAway
from everyitem.settings.publishing import PublishingSettings


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture
def publisher() -> Iterator[Callable[..., WebhookPublisher]]:
    with ExitStack() as made:

        def publisher(url: str, **more: object) -> WebhookPublisher:
            usual = {"secret": "", "token": "", "at_once": 10, "timeout": 5.0, "allow_private": True}
            sender = WebhookPublisher(url, **(usual | more))  # type: ignore[arg-type]
            made.callback(sender.close)
            return sender

        yield publisher


def event(number: int = 1) -> OutboxEvent:
    return OutboxEvent(
        f"b\u00e4@1/checkpoint/{number}", "CheckpointCreated", "b\u00e4", 0.0, b'{"a":1.50}', number
    )


def test_one_event_is_sent_in_the_structured_mode(receiver: Receiver, publisher: Callable) -> None:
    """As the SDK reads it, with every digit of its data."""
    publisher(receiver.url).publish([event()])
    ((headers, body, (sent,)),) = receiver.requests
    assert headers["content-type"] == "application/cloudevents+json"
    assert b'"data":{"a":1.50}' in body
    read = from_http_event(HTTPMessage(headers, body))
    assert (read.get_id(), read.get_source(), read.get_data()) == (sent["id"], "/everyitem/local", {"a": 1.5})
    assert (sent["id"], sent["type"], sent["specversion"]) == (
        "b\u00e4@1/checkpoint/1",
        "CheckpointCreated",
        "1.0",
    )


def test_several_are_sent_in_the_batched_mode(receiver: Receiver, publisher: Callable) -> None:
    """In one request, in order."""
    publisher(receiver.url).publish([event(1), event(2)])
    ((headers, _, sent),) = receiver.requests
    assert headers["content-type"] == "application/cloudevents-batch+json"
    assert [one["sequence"] for one in sent] == [1, 2]


def test_a_signature_proves_who_sent_it_and_when(receiver: Receiver, publisher: Callable) -> None:
    """As Standard Webhooks checks it; the id is the same when the event is sent again."""
    sender = publisher(receiver.url, secret="whsec_" + base64.b64encode(b"key").decode(), token="t0ken")
    sender.publish([event()])
    sender.publish([event()])
    (first, body, _), (second, _, _) = receiver.requests
    signed = f"{first['webhook-id']}.{first['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(b"key", signed, hashlib.sha256).digest()).decode()
    assert first["webhook-signature"] == f"v1,{expected}"
    assert first["webhook-id"] == second["webhook-id"]
    assert first["authorization"] == "Bearer t0ken"


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503, 401, 403, 404, 410, 301])
def test_what_says_nothing_of_the_event_means_away(
    receiver: Receiver, publisher: Callable, status: int
) -> None:
    """The receiver is overloaded, broken, moved, or does not know us: the event is not to blame."""
    receiver.answer = lambda _: (status, {"Retry-After": "7", "Location": receiver.url})
    with pytest.raises(PublisherAway, match=str(status)) as away:
        publisher(receiver.url).publish([event()])
    assert away.value.wait == 7.0
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("status", [400, 409, 413, 415, 422])
def test_what_is_said_of_the_event_means_refused(
    receiver: Receiver, publisher: Callable, status: int
) -> None:
    """The same event would be refused again."""
    receiver.answer = lambda _: (status, {})
    with pytest.raises(EventsRefused, match=str(status)):
        publisher(receiver.url).publish([event()])


def test_nobody_there_means_away_and_somebody_later_is_found(publisher: Callable) -> None:
    """Whatever became of the connection meanwhile."""
    with receiving() as first:
        sender = publisher(first.url)
        sender.publish([event(1)])
    with pytest.raises(PublisherAway):
        sender.publish([event(2)])
    with receiving(first.port) as second:
        sender.publish([event(3)])
        assert [one["sequence"] for one in second.taken] == [3]


def test_a_name_that_stands_for_a_private_address_is_not_called(
    receiver: Receiver, publisher: Callable
) -> None:
    """Checked for the very address that is called; the operator may allow it."""
    with pytest.raises(PublisherAway, match=r"private address 127\.0\.0\.1"):
        publisher(receiver.url.replace("127.0.0.1", "localhost"), allow_private=False).publish([event()])
    assert receiver.requests == []


@pytest.mark.parametrize(
    ("address", "is_one"),
    [
        *(("8.8.8.8", True), ("2606:4700::1111", True), ("2002:808:808::", True), ("64:ff9b::808:808", True)),
        *(("127.0.0.1", False), ("10.0.0.1", False), ("169.254.169.254", False), ("100.64.0.1", False)),
        *(("0.0.0.0", False), ("224.0.0.1", False), ("::1", False), ("::", False), ("fe80::1", False)),
        *(("fd00::1", False), ("fec0::1", False), ("ff02::1", False), ("::ffff:127.0.0.1", False)),
        *(("::127.0.0.1", False), ("64:ff9b::7f00:1", False), ("2002:7f00:1::", False)),
    ],
)
def test_an_address_is_public_if_it_leads_to_the_internet(address: str, is_one: bool) -> None:
    """Whatever is wrapped around it."""
    assert is_public(ipaddress.ip_address(address)) is is_one


class LongWinded(http.server.BaseHTTPRequestHandler):
    """Has a lot to say of every event, in chunks."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with suppress(OSError):  # nobody listens to the end
            self.wfile.write(b"1388\r\n" + b"x" * 0x1388 + b"\r\n0\r\n\r\n")

    def log_message(self, *_: object) -> None:
        pass


def test_what_a_receiver_says_besides_is_not_taken_for_its_next_answer(publisher: Callable) -> None:
    """However long it is, and however it is sent."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), LongWinded) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        sender = publisher(f"http://127.0.0.1:{server.server_port}/")
        for number in range(3):
            sender.publish([event(number)])
        sender.close()
        server.shutdown()


def test_who_does_not_answer_is_given_up_in_time(publisher: Callable) -> None:
    """A receiver that hangs must not hold the relay."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        sender = publisher(f"http://127.0.0.1:{silent.getsockname()[1]}/", timeout=0.05)
        with pytest.raises(PublisherAway, match="timed out"):
            sender.publish([event()])


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "ftp://x/",
            "https://",
            "https://me:secret@x/",
            "https://x:99999/",
            "https://x:y/",
            "https://[::1",
        ),
        *("https://x/\u00e4", "https://x/a b", "https://x/\r\nX-Injected:1", "https://x\u00e4.example/"),
    ],
)
def test_a_url_nothing_can_be_sent_to_is_refused(publisher: Callable, url: str) -> None:
    """At the start, and without telling a password."""
    with pytest.raises(UsageError) as refused:
        publisher(url)
    assert "secret" not in str(refused.value).replace("[events]", "")


def test_secrets_stand_in_files(tmp_path: object) -> None:
    """One that is not there, or holds no secret, is said."""
    settings = PublishingSettings(publisher="webhook", url="https://x/", secret_file=f"{tmp_path}/none")
    with pytest.raises(UsageError, match="cannot be read"):
        build_publisher(settings)
