"""What a person sees while a batch runs: a live picture on a terminal or plain lines, then a summary."""

import sys
from contextlib import AbstractContextManager
from typing import Protocol, Self

from everyitem.engine.progress import Snapshot
from everyitem.faces.cli.display.lines import PlainProgress


class Display(AbstractContextManager["Display"], Protocol):
    """Shows snapshots while it is entered."""

    def __enter__(self) -> Self: ...

    def __call__(self, snapshot: Snapshot) -> None:
        """Take the newest snapshot; returns at once."""
        ...


def make_display(title: str, *, live: bool = True) -> Display:
    """The live picture where it may be and standard error is a terminal, plain lines otherwise."""
    if live and sys.stderr.isatty():
        # loads rich, which a run in a pipeline does not need
        from everyitem.faces.cli.display.live import LiveProgress

        return LiveProgress(title)
    return PlainProgress()
