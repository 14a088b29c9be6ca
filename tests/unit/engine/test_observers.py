"""Observers see what they listen to, and can harm neither the run nor one another."""

from everyitem.engine.observers import Observers
from everyitem.model.status import ExecutionStatus
from everyitem.ports.observer import NoObserver


class Ends(NoObserver):
    def __init__(self, error=None):
        self.seen, self.error = [], error

    def ended(self, status, code, message):
        self.seen.append(status)
        if self.error:
            raise self.error


def test_an_observer_that_raises_is_called_no_more(caplog):
    """The others go on seeing, and the log says what happened."""
    broken, sound = Ends(ZeroDivisionError()), Ends()
    observers = Observers([broken, sound])
    for _ in range(3):
        observers.ended(ExecutionStatus.COMPLETED, "", "")
    assert (len(broken.seen), len(sound.seen)) == (1, 3)
    assert "not told of it again" in caplog.text


def test_what_nobody_listens_to_is_told_to_nobody():
    """A run pays only for what is observed."""
    observers = Observers([Ends()])
    assert [name for name, listeners in observers._by_method.items() if listeners] == ["ended"]
