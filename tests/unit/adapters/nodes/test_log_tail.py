"""What worker processes print."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import everyitem.work.worker
from everyitem.adapters.nodes.log_tail import LogTail


class Output:
    """A worker's pipe with its reading end in a `LogTail`."""

    def __init__(self) -> None:
        reader, self.writer = os.pipe()
        self.tail = LogTail(reader, "local/1")

    def print(self, text: str | bytes) -> None:
        os.write(self.writer, text.encode() if isinstance(text, str) else text)
        self.tail.read()


@pytest.fixture
def output() -> Iterator[Output]:
    """An open pipe."""
    output = Output()
    yield output
    os.close(output.writer)
    output.tail.close()


def test_only_the_end_is_kept(output: Output) -> None:
    """However much was printed, memory is bounded and the last lines are there."""
    for number in range(5000):
        output.print(f"line {number} {'x' * 50}\n")
    lines = output.tail.last_lines(3)
    assert [line.split()[1] for line in lines] == ["4997", "4998", "4999"]
    assert len(output.tail._kept) <= 16 * 1024


def test_long_lines_and_broken_text_are_bearable(output: Output) -> None:
    """A line is cut, bytes that are not UTF-8 are replaced."""
    output.print(b"\xff" * 2000 + b"\n")
    (line,) = output.tail.last_lines()
    assert len(line) == 500


def test_our_own_frames_are_left_out(output: Output) -> None:
    """Of the traceback of a crash only the user's part is quoted."""
    ours = Path(everyitem.work.worker.__file__)
    output.print(
        "Fatal Python error: Segmentation fault\n\n"
        'Current thread 0x1 (most recent call first):\n  File "/home/me/p.py", line 3 in value\n'
        f'  File "{ours}", line 9 in main\n  File "<string>", line 1 in <module>\n\n'
        "Extension modules: msgspec._core (total: 1)\n"
    )
    assert output.tail.quoted("it died").splitlines() == [
        "it died; it last printed:",
        "Fatal Python error: Segmentation fault",
        "Current thread 0x1 (most recent call first):",
        '  File "/home/me/p.py", line 3 in value',
    ]


def test_nothing_printed_is_nothing_quoted(output: Output) -> None:
    """Without output the message stands alone."""
    assert output.tail.quoted("it died") == "it died"


def test_whole_lines_go_to_the_logger(output: Output, caplog: pytest.LogCaptureFixture) -> None:
    """Lines reach the logger `everyitem.worker` with their worker's name, also when they come in parts."""
    with caplog.at_level(logging.INFO, logger="everyitem.worker"):
        output.print("one\ntw")
        output.print("o\n")
    assert [record.getMessage() for record in caplog.records] == ["local/1: one", "local/1: two"]


def test_the_end_of_the_pipe_is_seen(output: Output) -> None:
    """Reading says when the other end is closed for good, and when there is just nothing."""
    assert not output.tail.read()
    assert not output.tail.ended
    os.close(output.writer)
    assert not output.tail.read()
    assert output.tail.ended
    output.writer = os.open(os.devnull, os.O_WRONLY)
