"""The messages between coordinator and worker process."""

from hypothesis import given
from hypothesis import strategies as st

from everyitem.work.assignment import Assignment, OriginKind, ProcessorOrigin
from everyitem.work.wire import (
    Begin,
    CannotStart,
    Emptied,
    Frames,
    LargeOutcome,
    Leave,
    Logged,
    Ready,
    RingFull,
    RunSlice,
    SliceDone,
    decode_from_worker,
    decode_to_worker,
    frame,
)

TO_WORKER = [
    Begin(
        Assignment(
            batch_id="b",
            key_prefix="b@2",
            processor="p",
            origin=ProcessorOrigin(OriginKind.FILE, "p.py"),
            item_timeout=2.5,
        )
    ),
    RunSlice(7, [(3, 2), (9, 1)], 2, 0.05, True, [b"[1,2,3]"]),
    Emptied(),
    Leave(),
]
FROM_WORKER = [
    Ready(),
    CannotStart("no such file"),
    SliceDone(7),
    RingFull(),
    LargeOutcome(3, b"x" * 100_000),
    Logged([(3, 1, "INFO", "text")]),
]


def test_every_message_arrives_as_it_was_sent() -> None:
    """Encoding, framing and decoding keep every field of every message, in order."""
    assert Frames(decode_to_worker).feed(b"".join(map(frame, TO_WORKER))) == TO_WORKER
    assert Frames(decode_from_worker).feed(b"".join(map(frame, FROM_WORKER))) == FROM_WORKER


@given(st.lists(st.integers(1, 60_000), max_size=8))
def test_it_does_not_matter_how_the_stream_is_cut(sizes: list[int]) -> None:
    """Messages come out the same whether a read brings half a length or several messages."""
    stream = b"".join(map(frame, FROM_WORKER))
    frames = Frames(decode_from_worker)
    messages = []
    for size in sizes:
        messages += frames.feed(stream[:size])
        stream = stream[size:]
    assert messages + frames.feed(stream) == FROM_WORKER
