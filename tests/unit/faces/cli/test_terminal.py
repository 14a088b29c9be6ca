"""What reaches a terminal, and what never does."""

import io
import os
import re
import sys

import pytest

from everyitem.faces.cli.terminal import print_json, print_lines, print_table, safe, write_out


class Stdout(io.TextIOWrapper):
    """Standard output that may claim to be a terminal."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8")
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal

    def text(self) -> str:
        self.flush()
        return self.buffer.getvalue().decode()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("two\nlines", "two\\nlines"),
        ("\x9b2J", "\\x9b2J"),
        ("back\rward", "back\\rward"),
        ("a\u202eb", "a\\u202eb"),
        ("\u2028", "\\u2028"),
        ("lone \ud800", "lone \\ud800"),
        ("Zürich €", "Zürich €"),
    ],
)
def test_control_characters_are_spelt_out(text, shown):
    """Ids and messages cannot move the cursor, colour, reorder or forge a line."""
    assert safe(text) == shown


def test_json_on_a_terminal_has_no_c1_controls(monkeypatch):
    """JSON escapes C0 by itself; on a terminal C1 and reordering characters are escaped too."""
    stdout = Stdout(terminal=True)
    monkeypatch.setattr(sys, "stdout", stdout)
    print_json('{"id": "\x9b2J\u202e"}'.encode())
    assert stdout.text() == '{\n  "id": "\\u009b2J\\u202e"\n}\n'


def test_json_in_a_pipe_stays_as_it_is(monkeypatch):
    """Programs get the recorded bytes."""
    stdout = Stdout(terminal=False)
    monkeypatch.setattr(sys, "stdout", stdout)
    assert print_lines(['{"id":"\x9b"}'.encode()])
    assert stdout.text() == '{"id":"\x9b"}\n'


def test_a_closed_pipe_is_no_error(monkeypatch):
    """A reader that closes its end has had enough; the writer hears of it and goes on."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        kept = os.dup(1)
        try:
            assert write_out([b"x" * 100_000]) is False
        finally:
            os.dup2(kept, 1)
            os.close(kept)
        # what is left in the buffer has nowhere to go
        os.dup2(os.open(os.devnull, os.O_WRONLY), writing)


@pytest.mark.parametrize("width", ["10", "38", "80"])
def test_a_number_in_a_table_is_whole_or_not_there(monkeypatch, width):
    """On a narrow terminal 600 items were 60: rather lines the terminal breaks."""
    stdout = Stdout(terminal=True)
    monkeypatch.setattr(sys, "stdout", stdout)
    monkeypatch.setenv("COLUMNS", width)
    headings = ("batch", "state", "items", "failed", "last checkpoint")
    row = ("a-batch-with-a-name", "COMPLETED_WITH_ERRORS", "1,234,600", "86", "2026-12-01 01:58:48Z")
    print_table(headings, [row], right=(2, 3), whole=(1,))
    shown = re.sub("\x1b\\[[0-9;]*m", "", stdout.text())
    assert {"COMPLETED_WITH_ERRORS", "1,234,600", "86", "failed"} <= set(shown.split())
    assert max(map(len, shown.splitlines())) <= max(int(width), 65)
