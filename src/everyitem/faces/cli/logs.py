"""Log records of everyitem itself on standard error: as notes for people, or as JSON lines for collectors."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from everyitem.faces.cli.terminal import note, notes_go_to, safe, write_note
from everyitem.model.redaction import redact

#: The logger of items that failed for good (`engine.item_log`).
ITEM_LOG = "everyitem.items"
#: The loggers of OpenTelemetry, which says there what it could not send.
TRACES_LOG = "opentelemetry"


class _Notes(logging.Handler):
    """Prints each record as one line that no terminal takes for more."""

    def emit(self, record: logging.LogRecord) -> None:
        note(f"{record.levelname.lower()}: {safe(redact(record.getMessage()))}")


@contextmanager
def logs_on_stderr(log_format: str = "text") -> Iterator[None]:
    """While inside, everyitem's own loggers and its exporter's are heard; the user's are left alone.

    As `text` their warnings are notes; on a terminal items that failed are left to the display, which
    counts them by cause. As `json` every line is an object, what is said to people included.
    """
    if log_format == "json":
        with _json_lines():
            yield
        return
    notes = _Notes(logging.WARNING)
    if sys.stderr.isatty():
        notes.addFilter(lambda record: record.name != ITEM_LOG)
    with _heard(notes, level=logging.NOTSET):
        yield


@contextmanager
def _json_lines() -> Iterator[None]:
    from everyitem.compose import json_log_handler

    with _heard(json_log_handler(write_note), level=logging.INFO) as logger:
        said = logger.getChild("cli")
        with notes_go_to(lambda text: said.info("%s", text)):
            yield


@contextmanager
def _heard(handler: logging.Handler, *, level: int) -> Iterator[logging.Logger]:
    logger, exporter = logging.getLogger("everyitem"), logging.getLogger(TRACES_LOG)
    formers = [(one, one.propagate, one.level) for one in (logger, exporter)]
    for one in (logger, exporter):
        one.addHandler(handler)
        one.propagate = False
    logger.setLevel(level)
    try:
        yield logger
    finally:
        for one, propagate, former in formers:
            one.propagate = propagate
            one.setLevel(former)
            one.removeHandler(handler)
        handler.close()
