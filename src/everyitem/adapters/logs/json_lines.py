"""Log records as JSON lines."""

import logging
from typing import Any

import msgspec

from everyitem.model.redaction import redact, redact_all
from everyitem.model.response import rfc3339

#: Characters of one text that are kept: a line must stay one a collector takes.
_LONGEST = 16_000


class JsonLines(logging.Formatter):
    """One JSON object per record: `time`, `level`, `logger`, `message`, and what its `fields` say.

    `context` holds what belongs to every record of this process, such as the batch that is carried out.
    Secrets are hidden.
    """

    def __init__(self) -> None:
        super().__init__()
        self.context: dict[str, object] = {}

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": rfc3339(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": _kept(message_of(record)),
            **self.context,
        }
        fields = getattr(record, "fields", None)
        if isinstance(fields, dict):
            line.update(redact_all(fields))
        if record.exc_info:
            line["exception"] = _kept(redact(self.formatException(record.exc_info)))
        return msgspec.json.encode(line, enc_hook=repr).decode("utf-8")


def message_of(record: logging.LogRecord) -> str:
    """The record's text, secrets hidden; a record that cannot be formatted is shown as it was written."""
    try:
        text = record.getMessage()
    except Exception as error:  # a wrong number of arguments must cost nobody his work
        text = f"{record.msg} (cannot be formatted: {error})"
    return redact(text.encode("utf-8", "replace").decode("utf-8"))


def _kept(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
