"""Item sources: which bytes are which item, and at which line."""

import os

import pytest

from everyitem.adapters.sources import open_source
from everyitem.ports.source import SourceSpec, SourceUnavailable


def items_of(path, kind, **options):
    """All texts with their lines, and all faults, of a file."""
    chunks = list(open_source(SourceSpec(kind=kind, reference=str(path), options=options)).chunks())
    items = [pair for chunk in chunks for pair in zip(chunk.texts, chunk.lines, strict=True)]
    return items, [(fault.line, fault.message) for chunk in chunks for fault in chunk.faults]


def test_jsonl_lines_keep_their_numbers(tmp_path):
    """Blank lines are skipped and counted; line ends of any system are fine; the last needs none."""
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'1\r\n\n  {"a": 2}\t\n3')
    assert items_of(path, "jsonl") == ([(b"1", 1), (b'{"a": 2}', 3), (b"3", 4)], [])


def test_jsonl_comes_in_chunks(tmp_path):
    """A large file is never held as a whole by its source."""
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'"0123456789"\n' * 100_000)
    source = open_source(SourceSpec(kind="jsonl", reference=str(path)))
    sizes = [len(chunk.texts) for chunk in source.chunks()]
    assert sum(sizes) == 100_000
    assert max(sizes) < 50_000


def test_csv_rows_are_objects_of_strings(tmp_path):
    """The header names the fields; quoting, line breaks in fields and a BOM are understood."""
    path = tmp_path / "x.csv"
    path.write_bytes(b'\xef\xbb\xbfitemId,note\r\na,"x, ""y"""\r\n\r\nb,"two\nlines"\r\nc,\r\n')
    assert items_of(path, "csv") == (
        [
            (b'{"itemId":"a","note":"x, \\"y\\""}', 2),
            (b'{"itemId":"b","note":"two\\nlines"}', 5),
            (b'{"itemId":"c","note":""}', 6),
        ],
        [],
    )


def test_csv_takes_another_delimiter(tmp_path):
    """`delimiter` is an option of the source."""
    path = tmp_path / "x.csv"
    path.write_text("a;b\n1;2,5\n")
    assert items_of(path, "csv", delimiter=";")[0] == [(b'{"a":"1","b":"2,5"}', 2)]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", (1, "no header row; the first row must name the fields")),
        (b"a,a\n1,2\n", (1, "the header names 'a' twice")),
        (b"a,\n1,2\n", (1, "field 2 of the header has no name")),
        (b"a,b\n1,2\n1\n", (3, "1 field, but the header names 2")),
        (b"a,b\n1,2,3\n", (2, "3 fields, but the header names 2")),
        (b"a\nx\n\xff\n", (3, "not UTF-8: byte 0xff at byte 0 of the line")),
        ("a\nx\n".encode("utf-16"), (1, "is UTF-16 text; item files must be UTF-8")),
    ],
    ids=str,
)
def test_csv_faults_carry_their_line(tmp_path, content, fault):
    """What is wrong with a row is said with the line it stands on."""
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    assert items_of(path, "csv")[1] == [fault]


def test_an_open_quote_is_a_fault(tmp_path):
    """A quote that is never closed does not swallow the rest in silence."""
    path = tmp_path / "x.csv"
    path.write_text('a\n"open\nrest\n')
    said = "not valid CSV: unexpected end of data; a quote that is opened here is not closed up to line 3"
    assert items_of(path, "csv")[1] == [(2, said)]


def test_a_csv_fault_is_told_with_the_line_its_row_begins_on(tmp_path):
    """Where a person has to look, however many lines the fields before it took."""
    path = tmp_path / "x.csv"
    path.write_text('a,b\n"two\nlines",1\n"x"y,2\n')
    assert items_of(path, "csv")[1] == [(4, "not valid CSV: ',' expected after '\"'")]


def test_a_csv_field_may_be_as_long_as_an_item(tmp_path):
    """The standard library stops at 131,072 characters."""
    path = tmp_path / "x.csv"
    path.write_text(f"a\n{'x' * 1_000_000}\n")
    ((text, line),) = items_of(path, "csv")[0]
    assert (len(text), line) == (len('{"a":""}') + 1_000_000, 2)


def test_only_regular_files_are_read(tmp_path):
    """Folders, pipes and devices are refused at once, without waiting for them."""
    os.mkfifo(tmp_path / "pipe.jsonl")
    for path in (tmp_path, tmp_path / "pipe.jsonl", "/dev/zero"):
        with pytest.raises(SourceUnavailable, match="not a regular file"):
            open_source(SourceSpec(kind="jsonl", reference=str(path)))


@pytest.mark.parametrize("reference", ["none.jsonl", "a\x00b", "x" * 5000])
def test_a_file_that_is_not_there_is_unavailable(tmp_path, reference):
    """The reason is the system's own."""
    with pytest.raises(SourceUnavailable):
        open_source(SourceSpec(kind="jsonl", reference=reference, base=str(tmp_path)))


def test_an_unknown_kind_is_unavailable():
    """Kinds that do not exist are refused by name."""
    with pytest.raises(SourceUnavailable, match="'ftp'"):
        open_source(SourceSpec(kind="ftp", reference="x"))


@pytest.mark.parametrize("delimiter", ["", ";;", 5, '"', "\n"])
def test_an_unusable_delimiter_is_refused(tmp_path, delimiter):
    """A delimiter is one character that means nothing else."""
    (tmp_path / "x.csv").write_text("a\n")
    with pytest.raises(SourceUnavailable, match="delimiter"):
        open_source(
            SourceSpec(kind="csv", reference=str(tmp_path / "x.csv"), options={"delimiter": delimiter})
        )


@pytest.mark.parametrize(("kind", "body"), [("jsonl", b'{"a":"1"}\n'), ("csv", b"a\n1\n")])
def test_a_byte_order_mark_at_the_start_is_skipped(tmp_path, kind, body):
    """One rule for all item files: spreadsheets and some editors write one."""
    path = tmp_path / "items"
    path.write_bytes(b"\xef\xbb\xbf" + body)
    (chunk,) = open_source(SourceSpec(kind=kind, reference=str(path))).chunks()
    assert (chunk.texts, chunk.faults) == ([b'{"a":"1"}'], [])


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf"])
def test_a_file_without_text_holds_no_items(tmp_path, kind, content):
    """A mark alone is no line."""
    path = tmp_path / "items"
    path.write_bytes(content)
    chunks = list(open_source(SourceSpec(kind=kind, reference=str(path))).chunks())
    assert [text for chunk in chunks for text in chunk.texts] == []
