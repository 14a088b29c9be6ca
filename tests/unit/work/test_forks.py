"""Copies of a process know that they are copies; what is made in them is their own."""

import os

from everyitem.work import forks


def test_a_copy_is_told_from_what_is_made_in_it() -> None:
    """A program may fork and run batches in its child: only what was there before the fork is a copy."""
    mine = forks.copied()
    child = os.fork()
    if not child:
        os._exit(0 if mine and not forks.copied() else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert not mine
    assert forks.copied() is mine
