"""The logger an item processor finds on its context; its records travel with the item's outcome."""

import logging
from collections.abc import Callable

from everyitem.work.texts import ask, storable

#: Characters of one record that are kept.
MAX_TEXT = 2_000


class _Keeper(logging.Handler):
    """Hands each record, formatted, to whoever keeps them."""

    def __init__(self, keep: Callable[[str, str], None]) -> None:
        super().__init__()
        self._keep = keep

    def emit(self, record: logging.LogRecord) -> None:
        text = ask(self._text_of, record)
        if len(text) > MAX_TEXT:
            text = text[:MAX_TEXT] + "..."
        self._keep(storable(record.levelname), text)

    def _text_of(self, record: logging.LogRecord) -> str:
        try:
            return self.format(record)
        except Exception as error:  # a wrong number of arguments must not fail the item
            return f"{record.msg} (cannot be formatted: {error})"


def build_logger(keep: Callable[[str, str], None]) -> logging.Logger:
    """A logger of its own (not in the application's tree), from DEBUG up; `keep(level name, text)`."""
    logger = logging.Logger("everyitem.item", logging.DEBUG)  # noqa: LOG001  kept out of the tree
    logger.addHandler(_Keeper(keep))
    return logger
