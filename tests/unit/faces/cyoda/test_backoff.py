"""Reconnection: for ever, with jitter, never at once."""

from everyitem.faces.cyoda.backoff import Backoff


def test_waits_double_up_to_the_longest():
    """With the largest draw: the bounds themselves."""
    backoff = Backoff(lambda: 1.0, first=1, longest=8)
    assert [backoff.after(0) for _ in range(6)] == [1, 2, 4, 8, 8, 8]


def test_no_wait_is_ever_nothing():
    """A server that ends every stream cleanly is not hammered."""
    assert Backoff(lambda: 0.0, first=1, longest=8).after(0) == 0.1


def test_a_stream_that_was_stable_starts_over():
    """Ten failures last week say nothing about today."""
    backoff = Backoff(lambda: 1.0, first=1, longest=1000)
    for _ in range(10_000):
        backoff.after(0)
    assert backoff.after(61) == 1
