"""Rows of Parquet files and of queries become items that keep what the columns hold."""

import datetime
import json
import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from everyitem.adapters.sources import open_source
from everyitem.ports.source import SourceSpec, SourceUnavailable


def read(spec: SourceSpec) -> tuple[list[bytes], list[tuple[int, str]]]:
    """Texts and faults of a whole source; every text has its line."""
    texts: list[bytes] = []
    faults: list[tuple[int, str]] = []
    for chunk in open_source(spec).chunks():
        assert len(chunk.texts) == len(chunk.lines)
        texts += chunk.texts
        faults += [(fault.line, fault.message) for fault in chunk.faults]
    return texts, faults


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Every kind of column that has a form in JSON."""
    path = tmp_path / "positions.parquet"
    columns = {
        "itemId": ["a", "b"],
        "amount": [Decimal("12.50"), Decimal("-0.10")],
        "day": [datetime.date(2026, 11, 20), None],
        "at": [datetime.datetime(2026, 11, 20, 17, tzinfo=datetime.UTC)] * 2,
        "quantity": [2**53 + 1, -3],
        "rate": [1.5, 0.1],
        "tags": [["x", "y"], []],
        "owner": [{"name": "N", "id": 1}, None],
        "blob": [b"\x00\xff", b""],
    }
    parquet.write_table(pyarrow.table(columns), path, row_group_size=1)
    return path


def test_a_row_is_an_item(table: Path) -> None:
    """Decimals digit by digit, moments as RFC 3339, bytes as base64, nulls as null."""
    texts, faults = read(SourceSpec(kind="parquet", reference=str(table)))
    assert faults == []
    assert b'"amount":12.50' in texts[0]
    assert json.loads(texts[0]) == {
        "itemId": "a",
        "amount": 12.5,
        "day": "2026-11-20",
        "at": "2026-11-20T17:00:00Z",
        "quantity": 2**53 + 1,
        "rate": 1.5,
        "tags": ["x", "y"],
        "owner": {"name": "N", "id": 1},
        "blob": "AP8=",
    }
    assert json.loads(texts[1])["day"] is None


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_number_json_does_not_have_is_a_fault_of_its_row(tmp_path: Path, value: float) -> None:
    """Not silently null."""
    path = tmp_path / "t.parquet"
    parquet.write_table(pyarrow.table({"rate": [1.0, value, 2.0]}), path)
    texts, faults = read(SourceSpec(kind="parquet", reference=str(path)))
    assert texts == [b'{"rate":1.0}', b'{"rate":2.0}']
    assert faults == [(2, f"{value} is no JSON number")]


@pytest.mark.parametrize("keep", [0, 3, 100, -5])
def test_a_damaged_file_is_a_fault(table: Path, keep: int) -> None:
    """Cut anywhere: no item of it is taken for the whole."""
    table.write_bytes(table.read_bytes()[:keep])
    texts, [(line, message)] = read(SourceSpec(kind="parquet", reference=str(table)))
    assert (texts, line) == ([], 1)
    assert "not readable as parquet" in message


def test_many_rows_keep_their_order(tmp_path: Path) -> None:
    """Over chunks and row groups."""
    path = tmp_path / "t.parquet"
    parquet.write_table(pyarrow.table({"n": range(5000)}), path, row_group_size=700)
    texts, faults = read(SourceSpec(kind="parquet", reference=str(path)))
    assert [json.loads(text)["n"] for text in texts] == list(range(5000))
    assert faults == []


# -- SQL --------------------------------------------------------------------------------------------


@pytest.fixture
def database(tmp_path: Path) -> str:
    """A database of the operator's."""
    path = tmp_path / "trades.sqlite"
    with closing(sqlite3.connect(path)) as made:
        made.execute("CREATE TABLE trades (id TEXT, amount REAL, day TEXT)")
        rows = [(f"t-{n}", n / 2, "2026-11-20" if n % 2 else "2026-11-21") for n in range(3000)]
        made.executemany("INSERT INTO trades VALUES (?, ?, ?)", rows)
        made.commit()
    return f"sqlite:///{path}"


QUERY = 'SELECT id AS "itemId", amount FROM trades WHERE day = :day ORDER BY rowid'


def setup(url: str, **more: object) -> dict[str, object]:
    return {"sql": {"trades": {"url": url, "query": QUERY, **more}}}


def test_a_query_of_the_operators_gives_items(database: str) -> None:
    """The document names it and gives values for its placeholders."""
    spec = SourceSpec(
        kind="sql",
        reference="trades",
        options={"parameters": {"day": "2026-11-20"}},
        setup=setup(database),
    )
    texts, faults = read(spec)
    assert faults == []
    assert len(texts) == 1500
    assert texts[0] == b'{"itemId":"t-1","amount":0.5}'


def test_what_nobody_set_up_is_refused(database: str) -> None:
    """A document cannot name a database of its own."""
    for reference in ("other", database):
        with pytest.raises(SourceUnavailable, match=r"no \[sources\.sql\."):
            open_source(SourceSpec(kind="sql", reference=reference, setup=setup(database)))
    with pytest.raises(SourceUnavailable, match=r"no \[sources\.sql\."):
        open_source(SourceSpec(kind="sql", reference="trades"))


def test_sql_in_a_document_takes_the_operators_leave(database: str) -> None:
    """And even then nothing can be written."""
    own = {"query": "SELECT count(*) AS n FROM trades"}
    with pytest.raises(SourceUnavailable, match="allow-queries"):
        open_source(SourceSpec(kind="sql", reference="trades", options=own, setup=setup(database)))
    allowed = setup(database, **{"allow-queries": True})
    texts, _ = read(SourceSpec(kind="sql", reference="trades", options=own, setup=allowed))
    assert texts == [b'{"n":3000}']
    for statement in ("DELETE FROM trades", "DROP TABLE trades", "ATTACH 'x.sqlite' AS x"):
        source = open_source(
            SourceSpec(kind="sql", reference="trades", options={"query": statement}, setup=allowed)
        )
        try:
            list(source.chunks())
        except SourceUnavailable:
            continue
        assert statement.startswith("ATTACH")
    texts, _ = read(SourceSpec(kind="sql", reference="trades", options=own, setup=allowed))
    assert texts == [b'{"n":3000}']


def test_a_query_that_fails_says_why_and_shows_no_password(database: str) -> None:
    """A placeholder without a value, a column that is not there."""
    source = open_source(SourceSpec(kind="sql", reference="trades", setup=setup(database)))
    with pytest.raises(SourceUnavailable, match="day"):
        list(source.chunks())
    elsewhere = setup("postgresql://user:hush@127.0.0.1:1/x")
    pytest.importorskip("psycopg")
    source = open_source(SourceSpec(kind="sql", reference="trades", setup=elsewhere))
    with pytest.raises(SourceUnavailable) as refused:
        list(source.chunks())
    assert "hush" not in str(refused.value)


def test_two_columns_of_one_name_are_a_fault(database: str) -> None:
    """One of them would be lost."""
    twice = setup(database, query="SELECT id, amount AS id FROM trades")
    texts, faults = read(SourceSpec(kind="sql", reference="trades", setup=twice))
    assert texts == []
    assert "twice: id" in faults[0][1]


@pytest.mark.service
def test_postgresql_keeps_every_digit_and_writes_nothing(postgres) -> None:
    """A numeric column is a decimal; the transaction reads only."""
    query = (
        "SELECT 12345678901234567890.10::numeric AS amount, %(day)s::text AS day FROM generate_series(1, 3)"
    )
    spec = {"sql": {"p": {"url": postgres.url, "query": query, "allow-queries": True}}}
    options = {"parameters": {"day": "x"}}
    texts, faults = read(SourceSpec(kind="sql", reference="p", options=options, setup=spec))
    assert texts == [b'{"amount":12345678901234567890.10,"day":"x"}'] * 3
    assert faults == []
    # a cursor takes queries only, so the write hides in one
    hidden = {"query": "WITH made AS (INSERT INTO nowhere VALUES (1) RETURNING 1) SELECT * FROM made"}
    source = open_source(SourceSpec(kind="sql", reference="p", options=hidden, setup=spec))
    with pytest.raises(SourceUnavailable):
        list(source.chunks())
