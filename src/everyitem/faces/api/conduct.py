"""Carrying out an execution on a thread of its own while the caller waits, reachable by signals.

A `KeyboardInterrupt` raised in the middle of a checkpoint would be a crash. So the engine never runs on the
caller's thread: the caller waits on a queue, which Python interrupts safely, and turns what comes in between
into calls of the switch. That is also why `run` works inside a running event loop and in a notebook.
"""

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import TypeVar

from everyitem.compose import Switch

Value = TypeVar("Value")


class Inbox(SimpleQueue[object]):
    """Where a signal handler may put callables for `conduct` to run."""

    #: Whether somebody is there to run them.
    attended = False


def conduct(work: Callable[[], Value], switch: Switch, *, inbox: Inbox | None = None) -> Value:
    """Run `work` on its own thread and return what it returns or raise what it raises.

    `inbox` is where a signal handler may put callables, run here between waits (`SimpleQueue.put` is the one
    queue operation that is safe inside a handler). A `KeyboardInterrupt` while waiting stops the execution in
    good order (drain, checkpoint) and is raised again afterwards; a second one interrupts the items.
    """
    inbox = inbox if inbox is not None else Inbox()
    outcome: list[Value] = []
    error: list[BaseException] = []

    def carry_out() -> None:
        try:
            outcome.append(work())
        except BaseException as raised:
            error.append(raised)
        finally:
            inbox.put(None)

    thread = threading.Thread(target=carry_out, name="everyitem-execution")
    inbox.attended = True
    thread.start()
    interrupted: KeyboardInterrupt | None = None
    while True:
        try:
            request = inbox.get()
        except KeyboardInterrupt as interrupt:
            if interrupted is None:
                switch.stop("KeyboardInterrupt")
            else:
                switch.stop_now()
            interrupted = interrupt
            continue
        if request is None:
            break
        if callable(request):
            request()
    thread.join()
    inbox.attended = False
    if interrupted is not None:
        raise interrupted
    if error:
        raise error[0]
    return outcome[0]
