"""Entities of the platform as items: all that a search finds, each once, or a reason why not."""

import json
from pathlib import Path

import pytest
from tests.faults.rigs.cyoda_rest import CyodaRest, Generated, Refused

from everyitem.adapters.cyoda_search import _next_size
from everyitem.adapters.sources import open_source
from everyitem.ports.source import SourceAway, SourceSpec, SourceUnavailable

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def rest():
    """A platform with two open positions and a closed one."""
    made = CyodaRest()
    yield made
    made.stop()


def spec(url, kind, reference="", **options):
    return SourceSpec(kind=kind, reference=reference, options=options, setup={"cyoda": {"url": url}})


def texts(of: SourceSpec) -> list[bytes]:
    found = []
    for chunk in open_source(of).chunks():
        assert not chunk.faults
        found += chunk.texts
    return found


def ids(of: SourceSpec) -> list[str]:
    return [json.loads(text)["itemId"] for text in texts(of)]


def state(value):
    return {"type": "lifecycle", "field": "state", "operatorType": "EQUALS", "value": value}


def test_a_search_gives_what_meets_its_condition(rest):
    """The platform searches in the background; an entity keeps its state and its data."""
    opened = rest.create("Position/1", {"amount": 1.5}, "open")
    rest.create("Position/1", {"amount": 2}, "closed")
    rest.create("Other/1", {}, "open")
    (item,) = texts(spec(rest.url, "cyoda-search", "Position/1", condition=state("open")))
    assert json.loads(item) == {"itemId": opened, "state": "open", "data": {"amount": 1.5}}
    assert len(texts(spec(rest.url, "cyoda-search", "Position/1"))) == 2


def test_digits_stay_as_they_are_stored(web):
    """No number is decoded on the way."""
    search = "/api/search/async"
    answers = {
        f"{search}/P/1": b'"j"',
        f"{search}/j/status": b'{"searchJobStatus":"SUCCESSFUL","entitiesCount":1}',
        f"{search}/j?pageSize=64&pageNumber=0": b'{"content":[{"data":{"a":1.10},"meta":{"id":"e"}}]}',
    }
    web.answer = lambda path, headers, body: (200, JSON, answers[path])
    assert texts(spec(f"{web.url}/api", "cyoda-search", "P/1")) == [
        b'{"itemId":"e","state":"","data":{"a":1.10}}'
    ]


def test_an_entity_that_several_conditions_find_is_one_item(rest):
    """Conditions may overlap."""
    one = rest.create("Position/1", {}, "open")
    other = rest.create("Position/1", {}, "closed")
    conditions = [state("open"), {"type": "group", "operator": "AND", "conditions": []}]
    assert ids(spec(rest.url, "cyoda-search", "Position/1", conditions=conditions)) == [one, other]


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 5000])
def test_a_search_is_read_page_by_page_to_its_end(rest, count):
    """Whatever its size, every entity comes once and in order."""
    rest.generated["Position/1"] = Generated(count)
    found = ids(spec(rest.url, "cyoda-search", "Position/1"))
    assert found == [entity_id for entity_id, _ in rest.generated["Position/1"]]


def test_large_entities_make_short_pages():
    """A page of a thousand entities could be gigabytes; every size begins where the one before ended."""
    size, done = 64, 0
    for read in (100, 100, 100, 9 << 20, 9 << 20, 3 << 20, 100, 100, 100):
        assert done % size == 0
        done += size
        size = _next_size(size, done, read)
    assert _next_size(1, 1, 99 << 20) == 1
    assert _next_size(1024, 1024, 1) == 1024


def test_entities_that_vanish_meanwhile_are_missed(rest):
    """A page without them looks like any other; what there is by then may be asked for later."""
    for number in range(3):
        rest.create("Position/1", {"n": number})

    def delete_one(_, path):
        if path.endswith("/status") and len(rest.entities) == 3:
            rest.entities.popitem()

    rest.before = delete_one
    with pytest.raises(SourceAway, match="found 3 entities, and 2 of them came"):
        texts(spec(rest.url, "cyoda-search", "Position/1"))


def test_a_search_that_an_old_server_cuts_off_is_refused(rest):
    """It says nothing of what it leaves out."""
    for _ in range(1001):
        rest.create("Position/1", {})
    rest.cuts_off = True
    with pytest.raises(SourceUnavailable, match=r"more than|SEARCH_RESULT_LIMIT|only 1,000"):
        texts(spec(rest.url, "cyoda-search", "Position/1"))
    rest.entities.popitem()
    assert len(texts(spec(rest.url, "cyoda-search", "Position/1"))) == 1000


def test_a_search_the_platform_gives_up_is_said(web):
    """With its state."""
    answers = iter([b'"j"', b'{"searchJobStatus":"FAILED"}'])
    web.answer = lambda path, headers, body: (200, JSON, next(answers))
    with pytest.raises(SourceUnavailable, match="search is FAILED"):
        texts(spec(f"{web.url}/api", "cyoda-search", "Position/1"))


def test_a_condition_the_platform_does_not_know_is_said(rest):
    """In the platform's words."""
    rest.create("Position/1", {})
    with pytest.raises(SourceUnavailable, match="INVALID_CONDITION"):
        texts(spec(rest.url, "cyoda-search", "Position/1", condition={"type": "odd"}))


def test_what_may_pass_is_asked_again(rest):
    """A platform that is busy for a moment costs a moment."""
    rest.create("Position/1", {})
    busy = iter([True])

    def refuse_once(*_):
        if next(busy, False):
            raise Refused(503, "SEARCH_QUEUE_FULL", retryable=True)

    rest.before = refuse_once
    assert len(texts(spec(rest.url, "cyoda-search", "Position/1"))) == 1


def test_entities_are_fetched_by_id(rest, tmp_path: Path):
    """Those in the document, or those in a file, in that order and each once."""
    known = [rest.create("Position/1", {"n": number}) for number in range(20)]
    assert ids(spec(rest.url, "cyoda-entities", ids=[*known, known[0]])) == known
    (tmp_path / "ids").write_text("\n\n".join(known))
    assert ids(spec(rest.url, "cyoda-entities", str(tmp_path / "ids"))) == known


def test_an_entity_that_is_not_there_ends_it(rest):
    """With its address; the others must not pass for all."""
    known = rest.create("Position/1", {})
    with pytest.raises(SourceUnavailable, match="entity/gone: 404"):
        texts(spec(rest.url, "cyoda-entities", ids=[known, "gone"]))


def test_an_id_cannot_leave_its_place_in_the_url(web):
    """It stands in a path."""
    web.answer = lambda path, headers, body: (404, {}, b"")
    with pytest.raises(SourceUnavailable, match="404"):
        texts(spec(f"{web.url}/api", "cyoda-entities", ids=["../model/export?x"]))
    assert web.asked[0][0] == "/api/entity/..%2Fmodel%2Fexport%3Fx"


def test_the_platform_is_asked_with_a_token_of_the_operators(web, tmp_path: Path):
    """Client credentials; fetched once while it lasts, and for all connections together."""
    (tmp_path / "secret").write_text("s3cret")

    def answer(path, headers, body):
        if path == "/token":
            return 200, JSON, b'{"access_token":"tok","expires_in":3600}'
        return 200, JSON, b'{"data":{},"meta":{"id":"e-1"}}'

    web.answer = answer
    asked = spec(f"{web.url}/api", "cyoda-entities", ids=["e-1", "e-1"])
    asked.setup["cyoda"] |= {
        "token-url": f"{web.url}/token",
        "client-id": "m",
        "client-secret-file": str(tmp_path / "secret"),
    }
    assert len(texts(asked)) == 1
    assert [path for path, _, _ in web.asked].count("/token") == 1
    assert web.asked[-1][1]["Authorization"] == "Bearer tok"


@pytest.mark.parametrize("reference", ["Position", "Position/x", "../1", "a b/1", ""])
def test_a_model_is_named_with_its_version(rest, reference):
    """Nothing else gets into the URL."""
    with pytest.raises(SourceUnavailable, match="MODEL/VERSION"):
        open_source(spec(rest.url, "cyoda-search", reference))


def test_what_is_no_entity_is_a_fault(web):
    """Of its place in the search."""
    answers = iter(
        [
            b'"j"',
            b'{"searchJobStatus":"SUCCESSFUL","entitiesCount":2}',
            b'{"content":[{"data":{},"meta":{"id":"e"}},{"x":1}]}',
        ]
    )
    web.answer = lambda path, headers, body: (200, JSON, next(answers))
    [chunk] = open_source(spec(f"{web.url}/api", "cyoda-search", "Position/1")).chunks()
    assert len(chunk.texts) == 1
    assert [fault.line for fault in chunk.faults] == [2]
