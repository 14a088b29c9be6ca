"""What is kept of a batch that finished long ago, in every kind of store."""

import pytest
from tests.services.stores import edit

import everyitem
from everyitem import item_processor
from everyitem.adapters.stores.relational import pruning
from everyitem.model.errors import UsageError

#: Rows of an execution that retention gives up.
TABLES = ("input_chunks", "segments", "failed_items", "outbox")


@item_processor("retention-check")
def check(item, context):
    """Refuses what asks for it."""
    if item.get("fail"):
        raise everyitem.PermanentItemError("refused")
    return item


def document(batch_id="old", *, fail=False, strategy="CONTINUE_ON_ERROR"):
    return {
        "batchId": batch_id,
        "batchItems": [{"n": number, "fail": fail and number == 3} for number in range(20)],
        "processingConfiguration": {"processor": "retention-check"},
        "allocatedResources": {},
        "executionPlan": {},
        "checkpointInterval": 1,
        "errorHandlingStrategy": strategy,
    }


def age(url, days, batch_id="old"):
    """As if the batch had finished so many days ago."""
    edit(
        url,
        "UPDATE execution_states SET finished_at = finished_at - ? WHERE execution_key IN "
        "(SELECT execution_key FROM executions WHERE batch_id = ?)",
        days * 86_400.0,
        batch_id,
    )


def rows(url, batch_id="old"):
    """How many rows are left of a batch, by table."""
    return {
        table: edit(
            url,
            f"SELECT count(*) FROM {table} JOIN executions USING (execution_key) WHERE batch_id = ?",
            batch_id,
        )[0][0]
        for table in TABLES
    }


def test_what_finished_long_ago_is_given_up_and_still_answered(store_url):
    """Response, counts and the content's digest stay: the same document is answered without running."""
    response = everyitem.run(document(), store=store_url).to_dict()
    age(store_url, 31)
    with everyitem.open(store_url) as session:
        [pruned] = session.prune()
        assert (pruned.batch_id, pruned.execution, pruned.items) == ("old", 1, 20)
        assert rows(store_url) == dict.fromkeys(TABLES, 0)
        assert session.status("old").succeeded == 20
        assert session.resume("old").to_dict() == response
        assert session.prune() == []
    again = everyitem.run(document(), store=store_url)
    assert (again.to_dict(), again.fresh) == (response, False)


@pytest.mark.parametrize("look", ["results", "failures", "checkpoints", "verify", "events"])
def test_who_asks_for_what_was_pruned_is_told_so(store_url, look):
    """An empty list would say that there was nothing."""
    everyitem.run(document(), store=store_url)
    with everyitem.open(store_url) as session:
        session.prune(older_than=0)
        with pytest.raises(UsageError, match=r"pruned on 20\d\d-.*everyitem status"):
            list(getattr(session, look)("old"))


def test_pruned_failures_cannot_be_redriven(store_url):
    """Their items are gone; a redrive of none would look like a success."""
    everyitem.run(document(fail=True), store=store_url)
    with everyitem.open(store_url) as session:
        session.prune(older_than=0)
        for again in (session.redrive, session.rerun):
            with pytest.raises(UsageError, match="pruned"):
                again("old")


def test_a_pruned_batch_can_be_executed_once_more_from_its_document(store_url):
    """As execution 2, of which everything is there."""
    everyitem.run(document(), store=store_url)
    with everyitem.open(store_url) as session:
        session.prune(older_than=0)
        everyitem.run(document(), store=store_url, rerun=True)
        assert session.status("old").execution == 2
        assert len(list(session.results("old"))) == 20


def test_what_is_younger_stays(store_url):
    """Thirty days, where nobody says otherwise."""
    everyitem.run(document(), store=store_url)
    age(store_url, 29)
    with everyitem.open(store_url) as session:
        assert session.prune() == []
        assert [one.batch_id for one in session.prune(older_than=28, dry_run=True)] == ["old"]
        assert len(list(session.results("old"))) == 20


def test_unfinished_executions_are_never_touched(store_url):
    """However old: somebody may go on with them."""
    everyitem.run(document(fail=True, strategy="FAIL_FAST"), store=store_url)
    before = rows(store_url)
    edit(store_url, "UPDATE execution_states SET finished_at = 1.0")
    with everyitem.open(store_url) as session:
        assert session.status("old").state == "FAILED"
        assert session.prune(older_than=0) == []
    assert rows(store_url) == before


def test_a_run_prunes_what_is_due(store_url):
    """Nobody has to think of it."""
    everyitem.run(document(), store=store_url)
    age(store_url, 31)
    everyitem.run(document("new"), store=store_url)
    assert rows(store_url) == dict.fromkeys(TABLES, 0)
    assert rows(store_url, "new")["segments"] > 0


def test_policy_can_be_turned_off(store_url, monkeypatch):
    """With 0 everything is kept for ever."""
    monkeypatch.setenv("EVERYITEM_RETENTION_DAYS", "0")
    everyitem.run(document(), store=store_url)
    age(store_url, 10_000)
    everyitem.run(document("new"), store=store_url)
    with everyitem.open(store_url) as session:
        assert session.prune() == []
        assert len(list(session.results("old"))) == 20


def test_pruning_that_was_interrupted_goes_on(store_url, monkeypatch):
    """From its first transaction on nobody reads what is half gone, and the next time ends it."""
    everyitem.run(document(), store=store_url)

    def stop(*where):
        raise KeyboardInterrupt

    with everyitem.open(store_url) as session:
        with monkeypatch.context() as patch:
            patch.setattr(pruning, "_delete_some", stop)
            with pytest.raises(KeyboardInterrupt):
                session.prune(older_than=0)
        assert rows(store_url)["input_chunks"] > 0
        with pytest.raises(UsageError, match="pruned"):
            list(session.results("old"))
        assert [one.batch_id for one in session.prune(older_than=0)] == ["old"]
    assert rows(store_url) == dict.fromkeys(TABLES, 0)


def test_one_that_is_in_use_is_passed_over(store_url, new_store):
    """A redrive that begins first wins; one that begins later is refused."""
    from everyitem import compose

    everyitem.run(document(fail=True), store=store_url)
    store = compose.open_store(store_url)
    record = store.find("old")
    ownership = store.claim(record.execution_key)
    with everyitem.open(store_url) as session:
        assert session.prune(older_than=0) == []
        ownership.release()
        assert len(session.prune(older_than=0)) == 1
    late = store.claim(record.execution_key)
    with pytest.raises(UsageError, match="pruned meanwhile"):
        store.open_round(late, [3], {})
    late.release()
    store.close()


def test_the_command_says_what_it_gave_up(workspace):
    """As JSON where no person reads; `--dry-run` touches nothing."""
    workspace.do("run", workspace.document([{"itemId": "a"}, {"itemId": "b"}]))
    expected = [{"batchId": "b", "execution": 1, "items": 2}]
    for arguments in (["--dry-run"], []):
        listed = workspace.json("prune", "--older-than", "0", *arguments)
        assert [{key: one[key] for key in expected[0]} for one in listed] == expected
    assert workspace.json("prune", "--older-than", "0") == []
    refused = workspace.do("results", "b")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "pruned" in refused.stderr


def test_a_store_that_is_not_there_is_not_made(tmp_path):
    """A volume that is not mounted gets no new, empty store in its place."""
    where = tmp_path / "volume" / "store.sqlite"
    with everyitem.open(f"sqlite:///{where}") as session, pytest.raises(UsageError, match="no store at"):
        session.prune()
    assert not where.parent.exists()
