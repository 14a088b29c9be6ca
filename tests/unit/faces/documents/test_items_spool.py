"""Items of a source on their way into memory or a temporary file."""

import math
import os
import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everyitem.adapters.sources import open_source
from everyitem.faces.documents import Overrides, items_intake, read_document
from everyitem.faces.documents.items_spool import ItemsSpool, SpooledItems
from everyitem.model.items import InMemoryItems, blocks_of, digest_of
from everyitem.ports.source import SourceUnavailable
from everyitem.settings import Settings

item_texts = st.lists(st.sampled_from([b"1", b'"two"', b'{"itemId":"three"}', b"[]"]), max_size=12)


def spooled(items, *, most, chunk=3):
    """The items handed over by a spool that got them in chunks."""
    spool = ItemsSpool(most=most)
    for first in range(0, len(items), chunk):
        part = items[first : first + chunk]
        spool.add(b"[" + b",".join(part) + b"]", blocks_of(list(map(len, part))))
    return spool.finish(named=False)


@given(items=item_texts, chunk=st.integers(1, 4), data=st.data())
def test_items_in_a_file_are_the_items_in_memory(items, chunk, data):
    """Same text, digest, chunks and picks, wherever they are kept and however they came."""
    plain = InMemoryItems(b"[" + b",".join(items) + b"]", named=False)
    for kept in (spooled(items, most=math.inf, chunk=chunk), spooled(items, most=0, chunk=chunk)):
        assert (len(kept), kept.digest) == (len(plain), plain.digest)
        assert digest_of(kept) == plain.digest
        assert [(one.first, one.count, one.text) for one in kept.chunks()] == [
            (one.first, one.count, one.text) for one in plain.chunks()
        ]
        picks = data.draw(st.lists(st.integers(0, len(items) - 1))) if items else []
        assert kept.text(picks) == plain.text(picks)
        assert kept.text(range(len(items) // 2, len(items))) == plain.text(range(len(items) // 2, len(items)))
        assert kept.text(range(0)) == b"[]"


def test_only_what_is_large_goes_to_a_file():
    """The bound decides, to the byte."""
    assert isinstance(spooled([b"1"] * 4, most=9), InMemoryItems)  # [1,1,1,1]
    assert isinstance(spooled([b"1"] * 4, most=8), SpooledItems)


def test_a_source_of_any_size_is_the_same_batch(make, tmp_path, monkeypatch):
    """The content does not depend on where intake keeps the items, and no file is left behind."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", os.fspath(folder))
    path = tmp_path / "items.jsonl"
    path.write_text("".join(f'{{"itemId": "t-{k}"}}\n' for k in range(30_000)))

    def read():
        overrides = Overrides(items=str(path))
        given = make(batchItems=[])
        return read_document(given, settings=Settings(), overrides=overrides, open_source=open_source).batch

    small = read()
    monkeypatch.setattr(items_intake, "SPOOL_BYTES", 1000)
    large = read()
    assert isinstance(large.items, SpooledItems)
    assert (large.content, large.items.digest) == (small.content, small.items.digest)
    assert large.items.text([29_999]) == b'[{"itemId":"t-29999"}]'
    assert list(folder.iterdir()) == []


def test_a_folder_that_takes_no_items_is_named(monkeypatch, tmp_path):
    """What is missing is room, and the message says where."""
    monkeypatch.setattr(tempfile, "tempdir", os.fspath(tmp_path / "gone"))
    with pytest.raises(SourceUnavailable, match=r"folder for temporary files: No such file.*TMPDIR"):
        spooled([b"1"], most=0)


def test_a_file_is_gone_with_its_items(monkeypatch):
    """Closing is not left to chance, neither for items nor for a spool that was given up."""
    opened = []
    make_file = tempfile.TemporaryFile

    def remember(**how):
        opened.append(make_file(**how))
        return opened[-1]

    monkeypatch.setattr(tempfile, "TemporaryFile", remember)
    items = spooled([b"1"], most=0)
    given_up = ItemsSpool(most=0)
    given_up.add(b"[1]", [(1, 1)])
    assert [file.closed for file in opened] == [False, False]
    del items, given_up
    assert [file.closed for file in opened] == [True, True]
