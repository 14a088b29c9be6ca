"""Carrying out an execution on a thread of its own."""

import threading

import pytest

from everyitem.faces.api.conduct import Inbox, conduct


class Switch:
    """Takes note of what it is told."""

    def __init__(self):
        self.told = []
        self.heard = threading.Event()

    def stop(self, reason):
        self.told.append(("stop", reason))
        self.heard.set()

    def stop_now(self):
        self.told.append(("stop_now",))
        self.heard.set()


def test_what_the_work_returns_is_returned():
    """And it runs on another thread."""
    here = threading.get_ident()
    assert conduct(threading.get_ident, Switch()) != here


def test_what_the_work_raises_is_raised():
    """With its type, SystemExit included."""

    def work():
        raise SystemExit(7)

    with pytest.raises(SystemExit):
        conduct(work, Switch())


def test_requests_run_on_the_callers_thread():
    """A signal handler's callables are called while the caller waits."""
    inbox, called, release = Inbox(), [], threading.Event()

    def request():
        called.append(threading.get_ident())
        release.set()

    inbox.put(request)
    conduct(lambda: release.wait(10), Switch(), inbox=inbox)
    assert called == [threading.get_ident()]


def test_a_keyboard_interrupt_stops_in_good_order_and_is_raised_at_the_end():
    """The work ends by itself after the switch was told; nothing is torn down around it."""
    switch, ended = Switch(), []

    def work():
        switch.heard.wait(10)
        ended.append(True)

    class Interrupting(Inbox):
        """Raises as the interpreter does when Ctrl-C arrives during the wait."""

        interrupted = False

        def get(self):
            if not self.interrupted:
                self.interrupted = True
                raise KeyboardInterrupt
            return super().get()

    with pytest.raises(KeyboardInterrupt):
        conduct(work, switch, inbox=Interrupting())
    assert ended == [True]
    assert switch.told == [("stop", "KeyboardInterrupt")]
