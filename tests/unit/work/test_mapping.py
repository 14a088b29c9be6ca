"""The shared mapping of a worker process."""

import os

from everyitem.work.mapping import CAPACITY, FINISHED, LEASE, Mapping, create_mapping_file
from everyitem.work.window import CANCELLED, CELLS, END, HEARTBEAT, SINCE, STARTED


def test_both_sides_see_what_one_writes() -> None:
    """Two mappings of one file are one memory, for every cell of the window."""
    fd = create_mapping_file(outcomes=8, text_bytes=64)
    ours, theirs = Mapping(fd), Mapping(fd)
    os.close(fd)
    for cell in (STARTED, END, SINCE, HEARTBEAT, CANCELLED, LEASE, FINISHED):
        ours.words[cell] = 1000 + cell
        assert theirs.words[cell] == 1000 + cell
    ours.text[:4] = b"text"
    assert bytes(theirs.text[:4]) == b"text"
    ours.close()
    theirs.close()


def test_words_of_the_mapping_lie_behind_the_window() -> None:
    """The cells of the window and the other words do not overlap."""
    assert min(LEASE, FINISHED, CAPACITY) >= CELLS
    assert len({LEASE, FINISHED, CAPACITY}) == 3


def test_the_creator_decides_the_size_of_the_ring() -> None:
    """Capacity and text size are read from the file, so both sides agree on them."""
    fd = create_mapping_file(outcomes=16, text_bytes=100)
    mapping = Mapping(fd)
    os.close(fd)
    assert (mapping.capacity, len(mapping.durations), len(mapping.ends)) == (16, 16, 16)
    assert len(mapping.text) == 100
    mapping.close()


def test_started_may_be_minus_one() -> None:
    """Before the first item nothing was started, which is written as -1."""
    fd = create_mapping_file(outcomes=1, text_bytes=1)
    mapping = Mapping(fd)
    os.close(fd)
    mapping.words[STARTED] = -1
    assert mapping.words[STARTED] == -1
    mapping.close()
