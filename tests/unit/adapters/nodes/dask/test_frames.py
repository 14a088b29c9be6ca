"""What coordinator and stations say to each other."""

import msgspec
import pytest

from everyitem.adapters.nodes.dask.flights import Flight
from everyitem.adapters.nodes.dask.frames import Software, decode_report, software_of
from everyitem.model.errors import ErrorCode
from everyitem.model.outcome import Failure, OutcomeBlock, Successes
from everyitem.ports.node import Lease


@pytest.mark.parametrize(
    ("there", "said"),
    [
        (Software("1.2", (3, 12)), ""),
        (Software("1.3", (3, 12)), "it has everyitem 1.3 and the coordinator 1.2"),
        (Software("1.2", (3, 11)), "it runs Python 3.11 and the coordinator 3.12"),
    ],
)
def test_a_difference_in_software_is_said(there: Software, said: str):
    """Another everyitem or another minor version of Python is named, the same is not."""
    assert Software("1.2", (3, 12)).difference(there) == said


def test_the_software_of_another_version_can_be_read():
    """Whatever else a later version puts into an opening, its software stands in front."""
    opening = msgspec.msgpack.encode([["9.9", [3, 99]], "run", {"unheard": "of"}, 1, 2, 3, 4, 5, 6])
    assert software_of(opening) == Software("9.9", (3, 99))


@pytest.mark.parametrize("frame", [b"", b"\xc1", b"\x80\x04\x95pickled", msgspec.msgpack.encode({"a": 1})])
def test_what_is_no_report_is_refused(frame: bytes):
    """Bytes of any other kind are an error, never code."""
    with pytest.raises(msgspec.DecodeError):
        decode_report(frame)


def block(*indices: int, failed: int | None = None) -> OutcomeBlock:
    results = b"[" + b",".join(b"0" for _ in indices) + b"]"
    failures = [] if failed is None else [Failure(failed, 1, ErrorCode.ITEM_ERROR, "E", "")]
    return OutcomeBlock(
        [Successes([(i, 1) for i in indices], 1, [1] * len(indices), results)] if indices else [], failures
    )


def test_a_block_that_comes_twice_is_taken_once():
    """Answers overlap: a question and the end of the slice may bring the same blocks."""
    flight = Flight("d/1", Lease(1, range(6)), sent=5, submitted_at=0.0)
    blocks = [block(0, 1), block(2, failed=3)]
    assert len(flight.take(0, blocks[:1])) == 2
    assert len(flight.take(0, blocks)) == 2
    assert len(flight.take(1, blocks[1:])) == 0
    assert flight.answered == {0, 1, 2, 3}
    assert flight.unanswered == [4]
