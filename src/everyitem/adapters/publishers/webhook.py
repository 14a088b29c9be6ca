"""Events by HTTP POST: CloudEvents' HTTP binding, signed as Standard Webhooks says.

One event is sent in the structured mode (`application/cloudevents+json`), several in the batched mode. The
signature covers id, time and body: `v1,` and the base64 form of HMAC-SHA256 over `ID.TIMESTAMP.BODY`
(https://www.standardwebhooks.com), so that a receiver knows who sent them and that nobody sends them later.
"""

import base64
import hashlib
import hmac
import http.client
import ipaddress
import re
import socket
import ssl
import time
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from everyitem.adapters.publishers.messages import STRUCTURED, to_json
from everyitem.model.errors import UsageError
from everyitem.model.retry_after import seconds_asked
from everyitem.model.store_url import port_in, shown_url
from everyitem.ports.outbox import OutboxEvent
from everyitem.ports.relay import EventsRefused, PublisherAway

_SEVERAL: Final = "application/cloudevents-batch+json"
#: Answers of a receiver that say nothing about the event.
_AWAY: Final = frozenset((HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS))
#: Answers that are the operator's to mend, whichever event it is.
_OURS: Final = frozenset(
    (
        *(HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND),
        *(HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.PROXY_AUTHENTICATION_REQUIRED, HTTPStatus.GONE),
    )
)
#: Bytes of an answer that are looked at.
_LOOKED_AT: Final = 2000
#: What may stand in a request as it is.
_PRINTABLE: Final = re.compile(r"[\x21-\x7e]+")
#: IPv6 addresses that end in the IPv4 address they lead to: mapped, compatible, and translated (NAT64).
_WITH_IPV4: Final = tuple(map(ipaddress.IPv6Network, ("::ffff:0:0/96", "::/96", "64:ff9b::/96")))
#: The longest wait a receiver may ask for, in seconds.
_LONGEST: Final = 300.0


class WebhookPublisher:
    """Whoever answers with a 2xx has the events."""

    def __init__(
        self,
        url: str,
        *,
        secret: str,
        token: str,
        at_once: int,
        timeout: float,
        allow_private: bool,
    ) -> None:
        """`secret` signs, `token` is a bearer token, either may be empty; `timeout` in seconds a step.

        Raises `UsageError` for a URL nothing can be sent to.
        """
        try:
            place = urlsplit(url)
            usual = {"http": 80, "https": 443}[place.scheme]
            port = port_in(place) or usual
            if not place.hostname or "@" in place.netloc:
                raise ValueError("it names a host, and nobody who logs in there")
            if not _PRINTABLE.fullmatch(url):
                raise ValueError("percent-encode what is no printable ASCII")
        except (ValueError, KeyError) as error:
            # not quoted: it may be a secret as a whole
            raise UsageError(
                f"[events] url: name it like https://events.example/everyitem ({error})"
            ) from None
        self.at_once = at_once
        self._secret, self._token = _key(secret), token
        self._shown = shown_url(f"{place.scheme}://{place.netloc}")
        self._target = (place.path or "/") + (f"?{place.query}" if place.query else "")
        self._connection = (
            _Private(place.hostname, port, timeout, allow_private=allow_private)
            if place.scheme == "http"
            else _PrivateTls(place.hostname, port, timeout, allow_private=allow_private)
        )

    def publish(self, events: Sequence[OutboxEvent]) -> None:
        texts = list(map(to_json, events))
        body = texts[0] if len(texts) == 1 else b"[" + b",".join(texts) + b"]"
        status, retry_after, said = self._post(body, self._headers(events, body))
        if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            return
        answer = f"{self._shown} answered {status}" + (f": {said}" if said else "")
        if status in _AWAY or status in _OURS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise PublisherAway(answer, wait=retry_after)
        if status < HTTPStatus.BAD_REQUEST:
            raise PublisherAway(f"{answer}; redirects are not followed, name the right URL", wait=retry_after)
        raise EventsRefused(answer)

    def close(self) -> None:
        self._connection.close()

    def _headers(self, events: Sequence[OutboxEvent], body: bytes) -> dict[str, str]:
        headers = {"Content-Type": STRUCTURED if len(events) == 1 else _SEVERAL, "User-Agent": "everyitem"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        if self._secret:
            # stable over re-sends, and of printable ASCII whatever the batch is called
            told = hashlib.sha256("\n".join(event.event_id for event in events).encode()).hexdigest()[:32]
            headers |= signature(self._secret, told, int(time.time()), body)
        return headers

    def _post(self, body: bytes, headers: dict[str, str]) -> tuple[int, float | None, str]:
        """Status, seconds to wait as asked for, and what was said. Raises `PublisherAway`."""
        for is_again in (False, True):
            try:
                self._connection.request("POST", self._target, body, headers)
                answer = self._connection.getresponse()
                said = answer.read(_LOOKED_AT)
                if not answer.isclosed():
                    # what is left would be taken for the next answer
                    self._connection.close()
                wait = seconds_asked(answer.headers.get("Retry-After"), longest=_LONGEST)
                return answer.status, wait, _line(said)
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError) as error:
                # a connection that was kept open may have been closed by the other side meanwhile
                self._connection.close()
                if is_again:
                    raise PublisherAway(f"{self._shown}: {error}") from error
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                raise PublisherAway(f"{self._shown}: {str(error) or type(error).__name__}") from error
        raise AssertionError("the second try answers or raises")


def signature(key: bytes, told: str, at: int, body: bytes) -> dict[str, str]:
    """The headers of Standard Webhooks; `at` are epoch seconds."""
    digest = hmac.new(key, f"{told}.{at}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": told,
        "webhook-timestamp": str(at),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def _key(secret: str) -> bytes:
    """The secret's bytes: base64 behind the prefix `whsec_`, or the text as it is."""
    if not secret.startswith("whsec_"):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError as error:
        raise UsageError("[events] secretFile: what follows whsec_ is not base64") from error


def _line(said: bytes) -> str:
    return " ".join(said.decode("utf-8", "replace").split())[:300]


class _Private(http.client.HTTPConnection):
    """A connection that is not made to private addresses, whatever a name stands for by now."""

    def __init__(self, host: str, port: int, timeout: float, *, allow_private: bool) -> None:
        super().__init__(host, port, timeout=timeout)
        self._allow_private = allow_private

    def connect(self) -> None:
        self.sock = _connected(self.host, self.port, self.timeout, allow_private=self._allow_private)


class _PrivateTls(_Private):
    """The same over TLS, with the certificate's name checked."""

    def connect(self) -> None:
        super().connect()
        context = ssl.create_default_context()
        self.sock = context.wrap_socket(self.sock, server_hostname=self.host)


def is_public(where: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether an address is somebody's on the Internet; one that has another one inside, by that one."""
    if isinstance(where, ipaddress.IPv6Address):
        inside = where.sixtofour
        if any(where in network for network in _WITH_IPV4):
            inside = ipaddress.IPv4Address(int(where) & 0xFFFF_FFFF)
        if where.is_site_local or (inside is not None and not is_public(inside)):
            return False
    return where.is_global and not where.is_multicast


def _connected(host: str, port: int, timeout: float | None, *, allow_private: bool) -> socket.socket:
    """A connection to the first address that takes one. Raises `OSError`."""
    refused: OSError = OSError(f"{host} has no address")
    for _, _, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        where = ipaddress.ip_address(str(address[0]).partition("%")[0])
        if not allow_private and not is_public(where):
            refused = OSError(f"{host} is at the private address {where} ([events] allowPrivate is not set)")
            continue
        try:
            connection = socket.create_connection((str(where), port), timeout)
        except OSError as error:
            refused = error
            continue
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection
    raise refused
