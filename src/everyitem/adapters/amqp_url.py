"""Connections to RabbitMQ, by a URL as RabbitMQ's own documentation writes it."""

import ssl
from urllib.parse import parse_qsl, unquote, urlsplit

import amqp

from everyitem.model.errors import UsageError
from everyitem.model.store_url import port_in, shown_url


def amqp_connection(url: str, *, timeout: float) -> amqp.Connection:
    """A connection that is still to be opened, with `timeout` seconds for each step.

    `url` is `amqp://USER:PASSWORD@HOST:5672/VHOST`; `amqps` verifies the broker's certificate, by the
    authorities in the file `?cacertfile=` names, or else by the system's. Raises `UsageError` for what is no
    such URL.
    """
    try:
        parts = urlsplit(url)
        port = port_in(parts) or {"amqp": 5672, "amqps": 5671}[parts.scheme]
        options = dict(parse_qsl(parts.query, strict_parsing=True)) if parts.query else {}
        authorities = options.pop("cacertfile", None)
        if options:
            raise ValueError(f"unknown: {', '.join(sorted(options))}")
        if authorities is not None:
            ssl.create_default_context(cafile=authorities)
    except (ValueError, KeyError, OSError) as error:
        raise UsageError(
            f"[events] url {shown_url(url)!r}: "
            f"RabbitMQ's is like amqp://USER:PASSWORD@HOST:5672/VHOST ({error})"
        ) from None
    host = parts.hostname or "localhost"
    return amqp.Connection(
        f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
        userid=unquote(parts.username or "guest"),
        password=unquote(parts.password or "guest"),
        virtual_host=unquote(parts.path[1:]) or "/",
        ssl=parts.scheme == "amqps"
        and {"context": {"check_hostname": True, "cafile": authorities}, "server_hostname": host},
        connect_timeout=timeout,
        read_timeout=timeout,
        write_timeout=timeout,
    )
