"""The started-items file is believed only where every byte of it makes sense."""

import pytest

from everyitem.adapters.started.layout import (
    MOST_BYTES,
    NOTHING,
    Header,
    Unreadable,
    cell_capacity,
    pack_cell,
    pack_header,
    unpack_cell,
    unpack_header,
)
from everyitem.ports.started import Suspect

HEADER = Header(
    identity="x", token=3, item_count=100, boot="b", suspects=[Suspect(7, 2)], together=1, cells=2, capacity=4
)


def whole(header: Header = HEADER) -> bytes:
    return pack_header(header) + bytes(header.area_size)


def test_a_header_comes_back_as_it_was() -> None:
    """With where the changing part begins."""
    header, area = unpack_header(whole())
    assert header == HEADER
    assert len(whole()) == area + HEADER.area_size


def test_every_changed_byte_of_the_header_is_found() -> None:
    """One at a time; only the padding behind it means nothing."""
    content = whole()
    written = len(content[:4096].rstrip(b"\x00"))
    for position in range(written):
        damaged = bytearray(content)
        damaged[position] ^= 0x20
        with pytest.raises(Unreadable):
            unpack_header(bytes(damaged))


@pytest.mark.parametrize("length", [0, 10, 63, 64, 100, 4096, 4200])
def test_a_truncated_file_is_found(length: int) -> None:
    """At whatever length."""
    with pytest.raises(Unreadable):
        unpack_header(whole()[:length])


@pytest.mark.parametrize(
    "header",
    [
        Header("x", 3, 100, "b", [Suspect(100)], 1, 0, 4),
        Header("x", 3, 100, "b", [Suspect(-1)], 1, 0, 4),
        Header("x", 3, 100, "b", [Suspect(1, -1)], 1, 0, 4),
        Header("x", 3, 100, "b", [], 0, 0, 4),
    ],
)
def test_figures_that_make_no_sense_are_refused(header: Header) -> None:
    """A digest says who wrote it, not that it is right."""
    with pytest.raises(Unreadable):
        unpack_header(whole(header))


@pytest.mark.parametrize("indices", [range(5, 90), (3, 1, 99), range(4, 5), (8,)])
def test_a_cell_tells_what_was_started(indices) -> None:
    """A run of items and a list of them."""
    head, values = pack_cell(indices, 4)
    assert list(unpack_cell((head + values).ljust(40, b"\x00"), 100)) == list(indices)


def test_of_a_list_too_long_for_its_cell_the_first_ones_are_kept() -> None:
    """It never runs over into the next cell."""
    head, values = pack_cell((1, 2, 3, 4, 5), 4)
    assert len(values) == 32
    assert list(unpack_cell(head + values, 100)) == [1, 2, 3, 4]


def test_a_cell_without_its_head_has_started_nothing() -> None:
    """A process that dies while it writes has not started yet."""
    _, values = pack_cell((1, 2), 4)
    assert list(unpack_cell((NOTHING + values).ljust(40, b"\x00"), 100)) == []


def test_every_changed_byte_of_a_cell_is_found() -> None:
    """A power cut may leave anything behind."""
    head, values = pack_cell((3, 1, 99), 4)
    for position in range(len(head + values)):
        damaged = bytearray((head + values).ljust(40, b"\x00"))
        damaged[position] ^= 0x01
        with pytest.raises(Unreadable):
            unpack_cell(bytes(damaged), 100)


def test_a_cell_cannot_name_items_that_do_not_exist() -> None:
    """Its checksum may be right."""
    for indices in [(100,), range(90, 101), (-1, 3)]:
        head, values = pack_cell(indices, 4)
        with pytest.raises(Unreadable):
            unpack_cell((head + values).ljust(40, b"\x00"), 100)


@pytest.mark.parametrize("cells", [0, 1, 5_000, 500_000])
@pytest.mark.parametrize("wanted", [8, 256, 10_000])
def test_no_run_writes_a_file_the_next_one_would_not_read(cells: int, wanted: int) -> None:
    """However many workers and however large the chunks: a thousand slots with chunks of 10,000 did."""
    capacity = cell_capacity(cells, wanted)
    header = Header("x", 3, 10_000_000, "b", [], 1, cells, capacity)
    assert header.area_size < MOST_BYTES
    assert capacity == wanted or cells > 1


def test_a_list_that_is_cut_never_looks_like_an_item_that_ran_alone() -> None:
    """Who runs alone when a coordinator dies is charged with it."""
    capacity = cell_capacity(100_000_000, 10_000)
    head, values = pack_cell((3, 5, 8), capacity)
    assert unpack_cell(head + values, 100) == (3, 5)
