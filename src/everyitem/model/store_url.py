"""URLs of stores and brokers: what may be shown of them."""

import re
from urllib.parse import SplitResult, unquote

_USER_INFO = re.compile(r"^([a-z][a-z0-9+.-]*://[^:/?#]*):.*@", re.IGNORECASE | re.DOTALL)
#: NATS takes a token in the place of the user, and of nothing else.
_USER_IS_TOKEN = re.compile(r"^((?:nats|tls|wss?)://)[^:/?#@]+@", re.IGNORECASE)
#: Query parameters whose value is a secret.
_SECRET = re.compile(r"password|secret|scram|token", re.IGNORECASE)


def shown_url(url: str) -> str:
    """The URL as it may be printed, logged and stored: every secret in it replaced by `***`.

    In doubt more is hidden: a password with characters that should have been escaped is hidden, too.
    """
    place, mark, query = _USER_IS_TOKEN.sub(r"\1***@", _USER_INFO.sub(r"\1:***@", url)).partition("?")
    return place + mark + "&".join(map(_shown_parameter, query.split("&")))


def port_in(place: SplitResult) -> int | None:
    """The port a URL names. Raises `ValueError`, which shows nothing of what stands there instead.

    A password with a slash that should have been escaped makes a port of its first part.
    """
    try:
        return place.port
    except ValueError:
        raise ValueError("the port is no number up to 65535, or the password needs escaping") from None


def _shown_parameter(parameter: str) -> str:
    name, equals, _ = parameter.partition("=")
    return f"{name}=***" if equals and _SECRET.search(unquote(name)) else parameter
