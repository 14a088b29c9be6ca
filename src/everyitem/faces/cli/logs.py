"""Log records of everyitem itself, as notes on standard error."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from everyitem.faces.cli.terminal import note, safe


class _Notes(logging.Handler):
    """Prints each record as one line that no terminal takes for more."""

    def emit(self, record: logging.LogRecord) -> None:
        note(f"{record.levelname.lower()}: {safe(record.getMessage())}")


@contextmanager
def logs_as_notes() -> Iterator[None]:
    """While inside, warnings of everyitem's own loggers are said; the user's loggers are left alone."""
    logger, handler = logging.getLogger("everyitem"), _Notes(logging.WARNING)
    logger.addHandler(handler)
    former, logger.propagate = logger.propagate, False
    try:
        yield
    finally:
        logger.propagate = former
        logger.removeHandler(handler)
