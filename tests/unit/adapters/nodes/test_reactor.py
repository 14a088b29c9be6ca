"""The thread of a process node."""

import os
import threading
from collections.abc import Iterator

import pytest

from everyitem.adapters.nodes.reactor import Reactor

PATIENCE = 60


@pytest.fixture
def reactor() -> Iterator[Reactor]:
    """A reactor running in a thread of its own."""
    reactor = Reactor()
    thread = threading.Thread(target=reactor.run)
    thread.start()
    yield reactor
    reactor.call(reactor.stop)
    thread.join(PATIENCE)
    assert not thread.is_alive()
    reactor.close()


def test_calls_run_in_their_order_in_the_reactors_thread(reactor: Reactor) -> None:
    """Calls from another thread are carried out one after the other, by one thread."""
    seen: list[tuple[int, int]] = []
    done = threading.Event()
    for number in range(1000):
        reactor.call(lambda number=number: seen.append((number, threading.get_ident())))
    reactor.call(done.set)
    assert done.wait(PATIENCE)
    assert [number for number, _ in seen] == list(range(1000))
    assert {ident for _, ident in seen} != {threading.get_ident()}
    assert len({ident for _, ident in seen}) == 1


def test_timers_run_by_their_time(reactor: Reactor) -> None:
    """The earlier of two timers runs first, whichever was set first."""
    order: list[str] = []
    done = threading.Event()

    def set_timers() -> None:
        reactor.call_after(0.3, lambda: (order.append("late"), done.set()))
        reactor.call_after(0.01, lambda: order.append("early"))

    reactor.call(set_timers)
    assert done.wait(PATIENCE)
    assert order == ["early", "late"]


def test_a_descriptor_forgotten_by_another_callback_is_left_alone(reactor: Reactor) -> None:
    """Of two ready descriptors, the callback of the first may forget the second, which then is not called."""
    called: list[int] = []
    done = threading.Event()
    pipes = [os.pipe(), os.pipe()]
    readers = [reader for reader, _ in pipes]

    def on_ready(mine: int) -> None:
        called.append(mine)
        for reader in readers:
            reactor.forget(reader)
        reactor.call(done.set)

    def begin() -> None:
        for reader, writer in pipes:
            os.write(writer, b"x")
            reactor.watch(reader, lambda reader=reader: on_ready(reader))

    reactor.call(begin)
    assert done.wait(PATIENCE)
    assert len(called) == 1
    for pipe in pipes:
        for fd in pipe:
            os.close(fd)


def test_calls_after_the_end_are_ignored() -> None:
    """Calling a reactor that has ended does nothing and raises nothing."""
    reactor = Reactor()
    reactor.call(reactor.stop)
    reactor.run()
    reactor.close()
    reactor.call(lambda: pytest.fail("ran after the end"))
