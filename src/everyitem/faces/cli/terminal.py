"""Where output goes and in which form: JSON for programs, tables for people, nothing that bites a terminal.

Standard output carries results only; everything else goes to standard error. A reader that closes our
standard output early (`| head`) has had enough: that is no error and changes no exit code.
"""

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import msgspec

from everyitem.faces.cli.streams import OutputLost, discard, output

#: Control characters (C0, DEL, C1), line and paragraph separators, and everything that reorders text.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


#: Characters a column that may be broken keeps at least.
_NARROWEST = 10
#: Spaces between two columns of a table.
_GAP = 2


def safe(text: object) -> str:
    r"""Text that cannot move the cursor, colour or forge a line: control characters become `\x1b` etc."""
    return _UNSAFE.sub(lambda found: found.group().encode("unicode_escape").decode("ascii"), str(text))


def is_for_people(*, as_json: bool) -> bool:
    """Whether a table is wanted: standard output is a terminal and `--json` was not given."""
    return not as_json and output().isatty()


#: Where notes go instead of standard error; see `notes_go_to`.
_takers: list[Callable[[str], None]] = []


@contextmanager
def notes_go_to(take: Callable[[str], None]) -> Iterator[None]:
    """While inside, `note` says nothing itself but hands its text on."""
    _takers.append(take)
    try:
        yield
    finally:
        _takers.pop()


def note(text: str = "") -> None:
    """One line to standard error. The text is ours; ids and messages in it went through `safe`."""
    if _takers:
        _takers[-1](text)
    else:
        write_note(text)


def write_note(text: str) -> None:
    """One line to standard error as it stands."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        discard(2)  # nobody reads what we say any more; the work goes on
    except ValueError:
        pass  # the user's code has closed the stream


def print_json(text: bytes, *, indent: int = 2) -> None:
    """One JSON document to standard output."""
    write_out([msgspec.json.format(text, indent=indent), b"\n"])


def print_lines(lines: Iterable[bytes]) -> bool:
    """JSON lines to standard output, as they come; False when nobody reads them any more."""
    return write_out(part for line in lines for part in (line, b"\n"))


def write_out(parts: Iterable[bytes]) -> bool:
    """Bytes to standard output; on a terminal C1 controls inside JSON strings are escaped first.

    Returns False when the reader has closed its end; raises `OutputLost` when nothing can be written there.
    """
    stream = output()
    escape = stream.isatty()
    try:
        for part in parts:
            stream.buffer.write(_escape_c1(part) if escape else part)
        stream.buffer.flush()
    except BrokenPipeError:
        discard(stream.fileno())
        return False
    except OSError as error:
        discard(stream.fileno())
        raise OutputLost(f"standard output cannot be written: {error.strerror}") from error
    return True


def print_table(
    headings: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    right: Iterable[int] = (),
    whole: Iterable[int] = (),
) -> None:
    """A table for people to standard output.

    Columns in `right` are right-aligned; they and those in `whole` are never broken into two lines, nor cut:
    a terminal too narrow for them breaks the lines itself.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=None, pad_edge=False, header_style="dim", padding=(0, _GAP, 0, 0), show_header=any(headings)
    )
    numeric, unbroken = set(right), {*right, *whole}
    cells = [[cell if isinstance(cell, Text) else Text(safe(cell)) for cell in row] for row in rows]
    widths = []
    for number, heading in enumerate(headings):
        longest = max((row[number].cell_len for row in cells), default=0)
        widths.append(max(longest, len(heading)) if number in unbroken else _NARROWEST)
        table.add_column(
            heading,
            justify="right" if number in numeric else "left",
            overflow="fold",
            no_wrap=number in unbroken,
            min_width=widths[-1],
        )
    for row in cells:
        table.add_row(*row)
    stream = output()
    console = Console(highlight=False, file=stream)
    console.width = max(console.width, sum(widths) + _GAP * (len(widths) - 1))
    try:
        console.print(table)
        stream.flush()
    except BrokenPipeError:
        discard(stream.fileno())
    except OSError as error:
        discard(stream.fileno())
        raise OutputLost(f"standard output cannot be written: {error.strerror}") from error


def _escape_c1(part: bytes) -> bytes:
    text = part.decode("utf-8")
    return re.sub(
        "[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]",
        lambda found: f"\\u{ord(found.group()):04x}",
        text,
    ).encode("utf-8")
