"""`python -m everyitem` is the `everyitem` command.

Signals are answered from the first moment on: importing the command takes a while, and whoever stops it then
shall read a line, not a traceback.
"""

import os
import signal
from contextlib import suppress
from types import FrameType


def main() -> None:
    """The `everyitem` command, from the first line of it that runs."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _leave)
    from everyitem.faces.cli.app import main as run

    run()


def _leave(number: int, _frame: FrameType | None) -> None:
    with suppress(OSError):
        os.write(2, f"everyitem: stopped by {signal.Signals(number).name} before anything began\n".encode())
    os._exit(128 + number)


if __name__ == "__main__":
    main()
