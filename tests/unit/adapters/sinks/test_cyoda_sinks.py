"""Results go to the platform once, whatever breaks in between, and never into the batch's own entity."""

import json
import threading

import pytest
from tests.faults.rigs.cyoda_rest import CyodaRest, Model, Refused

from everyitem.adapters.sinks.cyoda_entities import ResultEntities
from everyitem.adapters.sinks.cyoda_transitions import ItemTransitions
from everyitem.adapters.sinks.fields import MOST_BYTES
from everyitem.faces.cyoda.installing import sample
from everyitem.ports.outcome import Outcome
from everyitem.ports.sink import MOST_TOLD, Delivery, DeliveryStopped, SinkAway, SinkUnfit

MODEL = "BatchItemResult/1"


@pytest.fixture
def rest():
    """A platform with the model of results, and one of positions that are open, done or failed."""
    made = CyodaRest()
    made.models[MODEL] = Model(keys=("resultKey",))
    made.models["Position/1"] = Model(transitions={"open": {"finish": "done", "fail": "failed"}})
    yield made
    made.stop()


@pytest.fixture
def entities(rest):
    made = ResultEntities(rest.url, credentials=None, model=MODEL, patience=5.0)
    yield made
    made.close()


@pytest.fixture
def transitions(rest):
    made = ItemTransitions(
        rest.url, credentials=None, succeeded="finish", failed=None, field="batchResult", parallel=4,
        patience=5.0,
    )  # fmt: skip
    yield made
    made.close()


def delivery(count, *, is_first=False, anchor="anchor"):
    return Delivery(identity="b#t/anchor", execution=1, item_count=count, anchor=anchor, is_first=is_first)


def succeeded(index, *, item_id=None, round_=1, result=b'{"value":1}'):
    return Outcome(
        index=index, item_id=item_id or f"i-{index}", succeeded=True, attempts=1, duration_ms=1.0,
        result=result, round=round_,
    )  # fmt: skip


def failed(index, *, item_id=None, message="no"):
    return Outcome(
        index=index, item_id=item_id or f"i-{index}", succeeded=False, attempts=4, duration_ms=1.0,
        code="ITEM_ERROR", type="ValueError", message=message,
    )  # fmt: skip


def deliver(sink, outcomes, *, count=None, is_first=False, anchor="anchor"):
    outcomes = list(outcomes)
    made = delivery(count or len(outcomes), is_first=is_first, anchor=anchor)
    sink.deliver(made, iter(outcomes), threading.Event())
    return made


def counts(made):
    return made.written, made.known, made.left_alone, made.refused


# -- entities ---------------------------------------------------------------------------------------


def test_each_outcome_becomes_an_entity(rest, entities):
    """Of the same types whatever the result: its JSON as a text, or the error."""
    made = deliver(entities, [succeeded(0), failed(1)], is_first=True)
    assert counts(made) == (2, 0, 0, 0)
    one, other = rest.of(MODEL)
    whose = {"batch": "b#t/anchor", "batchEntityId": "anchor", "execution": 1, "round": 1}
    assert one == whose | {
        "resultKey": "b#t/anchor@1.1/0", "status": "SUCCEEDED", "attempts": 1, "result": '{"value":1}',
        "itemId": "i-0", "index": 0,
    }  # fmt: skip
    assert other == whose | {
        "resultKey": "b#t/anchor@1.1/1", "status": "FAILED", "attempts": 4, "errorCode": "ITEM_ERROR",
        "errorType": "ValueError", "errorMessage": "no", "itemId": "i-1", "index": 1,
    }  # fmt: skip


def test_a_hundred_go_together(rest, entities):
    """A transaction for each would take a hundred times as long; nobody is asked about a first delivery."""
    deliver(entities, map(succeeded, range(250)), is_first=True)
    assert [path for _, path in rest.calls] == [f"/entity/JSON/{MODEL}"] * 3
    assert len(rest.of(MODEL)) == 250


def test_a_delivery_again_writes_what_is_missing(rest, entities):
    """After a crash half-way: what is there is counted as such."""
    deliver(entities, map(succeeded, range(150)), count=250, is_first=True)
    made = deliver(entities, map(succeeded, range(250)))
    assert counts(made) == (100, 150, 0, 0)
    assert sorted(one["index"] for one in rest.of(MODEL)) == list(range(250))


def test_without_unique_keys_nothing_comes_twice_either(rest, entities):
    """Where the platform keeps none, asking it is what helps: after a lost answer, too."""
    rest.models[MODEL].keys = ()
    rest.lose_answers = 2
    made = deliver(entities, map(succeeded, range(250)), is_first=True)
    assert counts(made) == (250, 0, 0, 0)
    assert sorted(one["index"] for one in rest.of(MODEL)) == list(range(250))


def test_results_that_somebody_else_writes_meanwhile_are_no_doubles(rest, entities):
    """A unique key refuses a hundred for one of them; each goes by itself then."""
    deliver(entities, [succeeded(7)], count=250, is_first=True)
    made = deliver(entities, map(succeeded, range(250)), is_first=True)
    assert counts(made) == (249, 1, 0, 0)
    assert sorted(one["index"] for one in rest.of(MODEL)) == list(range(250))


def test_a_redriven_item_has_another_result(rest, entities):
    """The round is part of the key; what was not redriven stays as it is."""
    deliver(entities, [succeeded(0), failed(1)], is_first=True)
    made = deliver(entities, [succeeded(0), succeeded(1, round_=2)])
    assert counts(made) == (1, 1, 0, 0)
    assert sorted(one["resultKey"] for one in rest.of(MODEL)) == [
        "b#t/anchor@1.1/0", "b#t/anchor@1.1/1", "b#t/anchor@1.2/1",
    ]  # fmt: skip


def test_a_result_the_platform_does_not_take_is_counted_and_told(rest, entities):
    """The others go on; the reasons are told as far as an entity has room for them."""

    def refuse(method, path):
        if method == "POST" and "/entity/" in path:
            raise Refused(400, "VALIDATION_FAILED")

    rest.before = refuse
    made = deliver(entities, map(succeeded, range(40)), is_first=True)
    assert counts(made) == (0, 0, 0, 40)
    assert len(made.refusals) == MOST_TOLD
    assert made.refusals[0].startswith("item 'i-0': POST")
    assert "VALIDATION_FAILED" in made.refusals[0]


def test_a_result_too_large_for_an_entity_stays_in_the_store(rest, entities):
    """The entity says so."""
    deliver(entities, [succeeded(0, result=b'"' + b"x" * MOST_BYTES + b'"')], is_first=True)
    (one,) = rest.of(MODEL)
    assert one["resultKept"] is True
    assert "result" not in one


def test_large_results_go_in_smaller_company(rest, entities):
    """The platform takes ten megabytes at a time."""
    result = b'"' + b"x" * (1 << 20) + b'"'
    deliver(entities, [succeeded(index, result=result) for index in range(7)], is_first=True)
    assert len(rest.calls) == 3


def test_a_platform_that_is_away_is_waited_for(rest, entities):
    """It costs time, and no result."""
    away = iter([True, True])

    def refuse_twice(*_):
        if next(away, False):
            raise Refused(503, "SERVER_BUSY")

    rest.before = refuse_twice
    assert counts(deliver(entities, [succeeded(0)], is_first=True)) == (1, 0, 0, 0)


def test_a_platform_that_stays_away_ends_the_delivery(rest):
    """Whoever waits shall ask again."""
    rest.models[MODEL].locked = False
    sink = ResultEntities(rest.url, credentials=None, model=MODEL, patience=0.0)
    with pytest.raises(SinkAway, match="MODEL_NOT_LOCKED"):
        deliver(sink, [succeeded(0)], is_first=True)
    sink.close()
    gone = ResultEntities("http://127.0.0.1:9/api", credentials=None, model=MODEL, patience=0.0)
    with pytest.raises(SinkAway, match=r"127\.0\.0\.1:9"):
        deliver(gone, [succeeded(0)], is_first=True)


def test_a_process_that_ends_delivers_no_more(rest, entities):
    """At once, and what is written is written."""
    stop = threading.Event()

    def stop_after_two(method, path):
        if len(rest.calls) == 2:
            stop.set()

    rest.before = stop_after_two
    with pytest.raises(DeliveryStopped):
        entities.deliver(delivery(500, is_first=True), map(succeeded, range(500)), stop)
    assert len(rest.of(MODEL)) == 200


@pytest.mark.parametrize(
    ("model", "said"),
    [(None, "everyitem cyoda install"), (Model(locked=False), "lock it")],
)
def test_a_model_results_cannot_go_to_is_found_out_before(rest, entities, model, said):
    """With what to do about it."""
    del rest.models[MODEL]
    if model is not None:
        rest.models[MODEL] = model
    with pytest.raises(SinkUnfit, match=said):
        entities.check("inline")


def test_a_model_without_a_unique_key_is_odd(rest, entities):
    """And no reason to refuse: not every platform keeps one."""
    assert entities.check("inline") == []
    rest.models[MODEL].keys = ()
    (odd,) = entities.check("inline")
    assert "no unique key on $.resultKey" in odd


def test_a_model_in_which_results_cannot_be_found_again_is_unfit(rest, entities):
    """One of the operator's own, without the field that names the batch."""

    def refuse(_, path):
        if path.startswith("/search"):
            raise Refused(400, "INVALID_FIELD_PATH")

    rest.before = refuse
    with pytest.raises(SinkUnfit, match="INVALID_FIELD_PATH"):
        deliver(entities, [succeeded(0)])


def test_the_model_that_is_installed_knows_every_field(rest, entities):
    """A locked model without a change level refuses fields it has never seen."""
    large = b'"' + b"x" * MOST_BYTES + b'"'
    deliver(entities, [succeeded(0), failed(1), succeeded(2, result=large)], is_first=True)
    known = json.loads(sample("BatchItemResult"))
    for one in rest.of(MODEL):
        assert {name: type(value) for name, value in one.items()}.items() <= {
            name: type(value) for name, value in known.items()
        }.items()


# -- transitions ------------------------------------------------------------------------------------


def positions(rest, count):
    return [rest.create("Position/1", {"n": number}, "open") for number in range(count)]


def test_each_outcome_moves_its_item(rest, transitions):
    """The outcome stands in a field of the entity; all other fields stay as they are."""
    (one,) = positions(rest, 1)
    made = deliver(transitions, [succeeded(0, item_id=one)])
    assert counts(made) == (1, 0, 0, 0)
    entity = rest.entities[one]
    assert (entity.state, entity.data["n"]) == ("done", 0)
    assert entity.data["batchResult"] == {
        "resultKey": "b#t/anchor@1.1/0", "status": "SUCCEEDED", "attempts": 1, "result": '{"value":1}',
    }  # fmt: skip


def test_failed_items_are_left_alone_unless_there_is_a_transition_for_them(rest, transitions):
    """What to do with them is the operator's to say."""
    one, other = positions(rest, 2)
    made = deliver(transitions, [succeeded(0, item_id=one), failed(1, item_id=other)])
    assert counts(made) == (1, 0, 1, 0)
    assert rest.entities[other].state == "open"
    both = ItemTransitions(
        rest.url, credentials=None, succeeded=None, failed="fail", field="batchResult", parallel=1,
        patience=5.0,
    )  # fmt: skip
    made = deliver(both, [succeeded(0, item_id=one), failed(1, item_id=other, message="gone \ud800")])
    both.close()
    assert counts(made) == (1, 0, 1, 0)
    assert rest.entities[other].state == "failed"
    assert rest.entities[other].data["batchResult"]["errorMessage"] == "gone ?"


def test_a_transition_happens_once_however_often_it_is_delivered(rest, transitions):
    """A state that leads back to itself would count twice."""
    rest.models["Position/1"].transitions["open"]["finish"] = "open"
    known = positions(rest, 300)
    outcomes = [succeeded(index, item_id=one) for index, one in enumerate(known)]
    deliver(transitions, outcomes[:100])
    before = {one: rest.entities[one].transaction for one in known[:100]}
    made = deliver(transitions, outcomes)
    assert counts(made) == (200, 100, 0, 0)
    assert {one: rest.entities[one].transaction for one in known[:100]} == before


def test_a_lost_answer_does_not_move_an_item_twice(rest, transitions):
    """It is looked at again before anything else."""
    rest.models["Position/1"].transitions["open"]["finish"] = "open"
    known = positions(rest, 20)
    rest.lose_answers = 10
    made = deliver(transitions, [succeeded(index, item_id=one) for index, one in enumerate(known)])
    assert counts(made) == (20, 0, 0, 0)
    patched = [path for method, path in rest.calls if method == "PATCH"]
    assert len(patched) == len(set(patched)) == 20


def test_an_item_somebody_changes_meanwhile_keeps_that_change(rest, transitions):
    """The transition is carried out on what was read, or on what there is then."""
    (one,) = positions(rest, 1)

    def change_once(method, path):
        if method == "PATCH" and "by" not in rest.entities[one].data:
            rest.entities[one].data["by"] = "somebody else"
            rest.entities[one].transaction = "another"

    rest.before = change_once
    assert counts(deliver(transitions, [succeeded(0, item_id=one)])) == (1, 0, 0, 0)
    assert rest.entities[one].data["by"] == "somebody else"


def test_a_platform_that_is_busy_for_long_changes_nothing(rest, transitions):
    """However often it says so, it says nothing about the item."""
    (one,) = positions(rest, 1)
    busy = iter([True] * 3)

    def refuse_some(method, _):
        if method == "PATCH" and next(busy, False):
            raise Refused(409, "CONFLICT", retryable=True)

    rest.before = refuse_some
    assert counts(deliver(transitions, [succeeded(0, item_id=one)])) == (1, 0, 0, 0)


def test_an_item_that_is_changed_all_the_time_is_told(rest, transitions):
    """Nobody is asked for ever."""
    (one,) = positions(rest, 1)

    def change(method, _):
        if method == "PATCH":
            rest.entities[one].transaction = str(len(rest.calls))

    rest.before = change
    made = deliver(transitions, [succeeded(0, item_id=one)])
    assert made.refusals == [f"item {one!r}: somebody changed the entity 10 times meanwhile"]


def test_the_entity_of_the_batch_is_never_written(rest, transitions):
    """A batch that finds itself among its items must not discard its own result."""
    one, anchor = positions(rest, 2)
    made = deliver(
        transitions, [succeeded(0, item_id=one), succeeded(1, item_id=anchor)], anchor=anchor.upper()
    )
    assert counts(made) == (1, 0, 1, 0)
    assert rest.entities[anchor].state == "open"
    assert not [path for _, path in rest.calls if anchor in path]


def test_items_that_cannot_move_are_counted_and_told(rest, transitions):
    """Gone, or in a state the transition does not begin at."""
    (one,) = positions(rest, 1)
    rest.entities[one].state = "closed"
    made = deliver(transitions, [succeeded(0, item_id=one), succeeded(1, item_id="gone")])
    assert counts(made) == (0, 0, 0, 2)
    assert "TRANSITION_NOT_FOUND" in made.refusals[0]
    assert "ENTITY_NOT_FOUND" in made.refusals[1]


def test_an_id_cannot_leave_its_place_in_the_url_either(rest, transitions):
    """Items come from documents."""
    made = deliver(transitions, [succeeded(0, item_id="../model/x?y")])
    assert made.refused == 1
    assert rest.calls == [("GET", "/entity/..%2Fmodel%2Fx%3Fy")]


def test_items_that_are_no_entities_are_found_out_before(transitions):
    """With where to take them from."""
    assert transitions.check("cyoda-search") == []
    with pytest.raises(SinkUnfit, match="cyoda-entities"):
        transitions.check("inline")


def test_every_outcome_is_counted_once(rest, transitions):
    """Written, known, left alone, refused: nothing is left out."""
    known = positions(rest, 30)
    outcomes = [
        (failed if index % 3 == 0 else succeeded)(index, item_id=one if index % 5 else "gone")
        for index, one in enumerate(known)
    ]
    assert sum(counts(deliver(transitions, outcomes))) == 30
    assert json.dumps(rest.of("Position/1")).count("SUCCEEDED") == 16
