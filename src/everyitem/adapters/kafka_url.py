"""Kafka's clients are configured by a URL, like those of the other brokers; Kafka itself knows none."""

from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from everyitem.model.errors import UsageError
from everyitem.model.store_url import shown_url

#: By scheme: how the connection is secured, with and without a user.
_PROTOCOLS: Final = {"kafka": ("SASL_PLAINTEXT", "PLAINTEXT"), "kafka+ssl": ("SASL_SSL", "SSL")}
#: librdkafka's properties a URL may set.
_PROPERTIES: Final = frozenset(
    {"sasl.mechanism", "ssl.ca.location", "ssl.certificate.location", "ssl.key.location", "client.id"}
)


def kafka_properties(url: str, *, timeout: float) -> dict[str, Any]:
    """What every client of a cluster is configured with; `timeout` in seconds for each step.

    `url` is `kafka://HOST:9092,HOST:9092`, with `kafka+ssl` over TLS, with `USER:PASSWORD@` by SASL (PLAIN
    unless `?sasl.mechanism=` says otherwise). Raises `UsageError` for what is no such URL.
    """
    try:
        parts = urlsplit(url)
        with_user, without = _PROTOCOLS[parts.scheme]
        user, has_user, hosts = parts.netloc.rpartition("@")
        query = dict(parse_qsl(parts.query, strict_parsing=True)) if parts.query else {}
        if unknown := sorted(query.keys() - _PROPERTIES):
            raise ValueError(f"unknown: {', '.join(unknown)}")
        if not hosts or parts.path.strip("/"):
            raise ValueError("it names hosts and nothing else; the topic is a setting of its own")
    except (ValueError, KeyError) as error:
        raise UsageError(
            f"[events] url {shown_url(url)!r}: "
            f"Kafka's is like kafka://HOST:9092,HOST:9092 or kafka+ssl://USER:PASSWORD@HOST:9093 ({error})"
        ) from error
    properties: dict[str, Any] = {
        "bootstrap.servers": hosts,
        "security.protocol": with_user if has_user else without,
        "socket.timeout.ms": max(1000, round(timeout * 1000)),
        # what goes wrong is raised where it does; the client would write it to standard error as well
        "log_level": 0,
    }
    if has_user:
        name, _, password = user.partition(":")
        properties["sasl.mechanism"] = "PLAIN"
        properties["sasl.username"], properties["sasl.password"] = unquote(name), unquote(password)
    return properties | query
