"""Batches whose items come from elsewhere, from the outside."""

import json

import pytest


@pytest.fixture
def configured(workspace):
    """An operator's `everyitem.toml` beside the batch."""

    def configure(text):
        (workspace.folder / "everyitem.toml").write_text(text)

    return configure


def test_the_files_of_a_folder_are_items(workspace):
    """An import that takes what lies in its inbox."""
    inbox = workspace.folder / "inbox"
    inbox.mkdir()
    for name in ("b.csv", "a.csv"):
        (inbox / name).write_text(name)
    source = {"kind": "directory", "reference": "inbox", "pattern": "*.csv"}
    workspace.do("run", workspace.document([], itemSource=source))
    seen = [line["result"]["seen"] for line in workspace.lines("results", "b")]
    assert [one["itemId"] for one in seen] == ["a.csv", "b.csv"]


def test_the_rows_of_a_parquet_file_are_items(workspace):
    """In a document, and with --items."""
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"itemId": ["x", "y"], "n": [1, 2]}), workspace.folder / "i.parquet")
    source = {"kind": "parquet", "reference": "i.parquet"}
    workspace.do("run", workspace.document([], itemSource=source))
    assert [line["itemId"] for line in workspace.lines("results", "b")] == ["x", "y"]
    workspace.do("run", workspace.document([], batch_id="c"), "--items", "i.parquet")
    assert [line["itemId"] for line in workspace.lines("results", "c")] == ["x", "y"]


def test_the_rows_of_an_operators_query_are_items(workspace, configured):
    """The document names the query and gives a value; what is not set up is a RESOURCE_ERROR that says so."""
    import sqlite3

    database = sqlite3.connect(workspace.folder / "trades.sqlite")
    database.execute("CREATE TABLE trades (id TEXT, day TEXT)")
    database.executemany("INSERT INTO trades VALUES (?, ?)", [("t-1", "mon"), ("t-2", "tue"), ("t-3", "mon")])
    database.commit()
    database.close()
    query = 'SELECT id AS "itemId" FROM trades WHERE day = :day ORDER BY id'
    configured(
        f"[sources.sql.trades]\nurl = 'sqlite:///{workspace.folder}/trades.sqlite'\nquery = '{query}'\n"
    )
    source = {"kind": "sql", "reference": "trades", "parameters": {"day": "mon"}}
    workspace.do("run", workspace.document([], itemSource=source))
    assert [line["itemId"] for line in workspace.lines("results", "b")] == ["t-1", "t-3"]
    unknown = workspace.document([], batch_id="c", itemSource={**source, "reference": "other"})
    refused = json.loads(workspace.do("run", unknown).stdout)
    assert refused["errorCode"] == "RESOURCE_ERROR"
    assert "[sources.sql.other]" in refused["details"]["resourceErrors"][0]


def test_a_batch_goes_on_without_its_source(workspace):
    """The items are in the store: the folder may be emptied meanwhile."""
    inbox = workspace.folder / "inbox"
    inbox.mkdir()
    for number in range(3):
        (inbox / f"{number}.csv").write_text("x")
    source = {"kind": "directory", "reference": "inbox"}
    workspace.do("run", workspace.document([], itemSource=source))
    for file in inbox.iterdir():
        file.unlink()
    done = workspace.do("rerun", "b")
    assert json.loads(done.stdout)["result"]["executionResults"]["itemsProcessed"] == 3


def test_every_kind_of_the_contract_is_known(workspace):
    """None of them is refused by its name; each says what it takes."""
    for kind in ("sql", "http", "cyoda-search", "cyoda-entities"):
        document = workspace.document([], batch_id=kind, itemSource={"kind": kind, "reference": "M/1"})
        refused = json.loads(workspace.do("run", document).stdout)
        assert refused["errorCode"] == "RESOURCE_ERROR", kind
        assert "operator" in refused["details"]["resourceErrors"][0], kind
