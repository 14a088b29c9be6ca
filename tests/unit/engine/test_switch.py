"""The switch: no request is lost, whenever it comes."""

from everyitem.engine.messages import CancelAsked, Message, PauseAsked, StopAsked
from everyitem.engine.switch import Switch


def test_what_is_asked_before_the_execution_runs_is_heard_when_it_starts() -> None:
    """A Ctrl-C during start-up stops the run."""
    switch, heard = Switch(), list[Message]()
    switch.stop("SIGINT")
    switch.attach(heard.append)
    assert [type(one) for one in heard] == [StopAsked]


def test_after_the_end_requests_are_for_the_next_execution() -> None:
    """A switch may serve several runs one after the other."""
    switch, first, second = Switch(), list[Message](), list[Message]()
    switch.attach(first.append)
    switch.pause()
    switch.detach()
    switch.cancel()
    switch.attach(second.append)
    assert ([type(one) for one in first], [type(one) for one in second]) == ([PauseAsked], [CancelAsked])


def test_who_waits_without_running_takes_requests_himself() -> None:
    """`take` gives them in order, then None."""
    switch = Switch()
    switch.pause()
    switch.stop_now()
    taken = [switch.take(), switch.take(), switch.take()]
    assert [type(one) for one in taken] == [PauseAsked, StopAsked, type(None)]


def test_a_request_has_reached_the_execution_only_when_that_has_acted_on_it() -> None:
    """Handing it over is not enough: until then a slot may begin with one more item."""
    switch, heard = Switch(), list[Message]()
    switch.attach(heard.append)
    switch.stop("SIGTERM")
    assert not switch.reached(0)
    switch.reach()
    assert switch.reached(0)


def test_nobody_waits_for_an_execution_that_does_not_run() -> None:
    """Before its start and after its end; the next one is waited for anew."""
    switch, heard = Switch(), list[Message]()
    assert switch.reached(60)
    switch.attach(heard.append)
    switch.detach()
    assert switch.reached(60)
    switch.attach(heard.append)
    assert not switch.reached(0)
