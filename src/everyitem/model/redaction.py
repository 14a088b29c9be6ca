"""Secrets in texts: what logs and alerts say goes through `redact` first.

Hidden are passwords in URLs, credentials in headers and assignments, and the values of parameters whose
name says that they are secret. In doubt more is hidden.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

HIDDEN = "***"

#: Names of values nobody may read.
_NAME = (
    r"(?:pass(?:word|wd|phrase)?|pwd|secret|token|credentials?|api[-_ ]?key|private[-_ ]?key|access[-_ ]?key)"
)
_SECRET_NAME = re.compile(_NAME, re.IGNORECASE)

_RULES = (
    # scheme://user:password@host; what should have been escaped in it is hidden, too
    (re.compile(r"([a-z][a-z0-9+.-]*://[^\s:/?#@]*):[^\s]*@", re.IGNORECASE), rf"\1:{HIDDEN}@"),
    (re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{4,}", re.IGNORECASE), rf"\1 {HIDDEN}"),
    # password=..., "apiKey": "...", token: ...
    (
        re.compile(
            rf"""([\w.-]*{_NAME}[\w.-]*["']?\s*[=:]\s*)("[^"]*"|'[^']*'|[^\s,;&"'}}\])]+)""",
            re.IGNORECASE,
        ),
        rf"\1{HIDDEN}",
    ),
)

#: Shorter values are too likely to be part of something else, and no secrets.
_SHORTEST = 6
_MOST_LEARNT = 1000
_learnt: dict[str, None] = {}


def learn(parameters: Any) -> None:
    """Hide the values of secret parameters (by their names) from now on, in the whole process."""
    for value in _secrets(parameters):
        if len(_learnt) < _MOST_LEARNT:
            _learnt[value] = None


def redact(text: str) -> str:
    """The text as it may be logged and sent."""
    for secret in list(_learnt):
        if secret in text:
            text = text.replace(secret, HIDDEN)
    for pattern, hidden in _RULES:
        text = pattern.sub(hidden, text)
    return text


def redact_all(value: Any) -> Any:
    """JSON-like data with every text in it redacted, and secret members hidden whole."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {
            key: HIDDEN if isinstance(key, str) and _SECRET_NAME.search(key) else redact_all(member)
            for key, member in value.items()
        }
    if isinstance(value, list | tuple):
        return [redact_all(member) for member in value]
    return value


def _secrets(value: Any, *, is_secret: bool = False) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, member in value.items():
            yield from _secrets(member, is_secret=is_secret or bool(_SECRET_NAME.search(str(name))))
    elif isinstance(value, Iterable) and not isinstance(value, str | bytes):
        for member in value:
            yield from _secrets(member, is_secret=is_secret)
    elif is_secret and isinstance(value, str) and len(value) >= _SHORTEST:
        yield value
