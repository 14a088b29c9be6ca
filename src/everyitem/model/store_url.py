"""Store URLs: what may be shown of them."""

import re
from urllib.parse import unquote

_USER_INFO = re.compile(r"^([a-z][a-z0-9+.-]*://[^:/?#]*):.*@", re.IGNORECASE | re.DOTALL)
#: Query parameters whose value is a secret.
_SECRET = re.compile(r"password|secret|scram|token", re.IGNORECASE)


def shown_url(url: str) -> str:
    """The URL as it may be printed, logged and stored: every secret in it replaced by `***`.

    In doubt more is hidden: a password with characters that should have been escaped is hidden, too.
    """
    place, mark, query = _USER_INFO.sub(r"\1:***@", url).partition("?")
    return place + mark + "&".join(map(_shown_parameter, query.split("&")))


def _shown_parameter(parameter: str) -> str:
    name, equals, _ = parameter.partition("=")
    return f"{name}=***" if equals and _SECRET.search(unquote(name)) else parameter
