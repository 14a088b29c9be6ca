"""Items from services: only where the operator allows, page after page, and whole or not at all."""

import json
from pathlib import Path

import pytest

from everyitem.adapters.sources import open_source
from everyitem.ports.source import SourceSpec, SourceUnavailable

LINES = {"Content-Type": "application/x-ndjson"}
JSON = {"Content-Type": "application/json"}


def texts(spec: SourceSpec) -> list[bytes]:
    found = []
    for chunk in open_source(spec).chunks():
        assert not chunk.faults
        found += chunk.texts
    return found


def http(web, path="/items", *, allow=None, **options):
    setup = {"http": {"allow": [web.url] if allow is None else allow}}
    return SourceSpec(kind="http", reference=f"{web.url}{path}", options=options, setup=setup)


def test_json_lines_are_streamed(web):
    """Digits as sent; blank lines are none."""
    web.answer = lambda path, headers, body: (200, LINES, b'{"a":1.50}\n\n{"a":2}\n')
    assert texts(http(web)) == [b'{"a":1.50}', b'{"a":2}']


def test_pages_follow_the_link_header(web):
    """RFC 8288: relative, with other links around it."""

    def answer(path, headers, body):
        if path == "/items":
            return 200, JSON | {"Link": '<x>; rel="prev", </items?page=2>; rel="next"'}, b"[1,2]"
        return 200, JSON, b"[3]"

    web.answer = answer
    assert texts(http(web)) == [b"1", b"2", b"3"]


def test_pages_follow_a_key_of_the_document(web):
    """As many services have it."""

    def answer(path, headers, body):
        following = '"?page=2"' if path == "/items" else "null"
        return 200, JSON, f'{{"rows":[{{"p":"{path}"}}],"next":{following}}}'.encode()

    web.answer = answer
    assert [json.loads(one)["p"] for one in texts(http(web, items="rows", next="next"))] == [
        "/items",
        "/items?page=2",
    ]


@pytest.mark.parametrize(
    "allow",
    [
        [],
        ["http://127.0.0.1"],
        ["http://127.0.0.1:1"],
        ["https://127.0.0.1"],
        "http://127.0.0.1",
        [3],
    ],
)
def test_what_the_operator_does_not_allow_is_never_asked(web, allow):
    """Another port, another scheme, a text in place of a list."""
    with pytest.raises(SourceUnavailable, match="does not allow"):
        open_source(http(web, allow=allow))
    assert web.asked == []


@pytest.mark.parametrize("path", ["/itemsX", "/", "/items/../secret", "/other"])
def test_what_is_allowed_ends_where_a_part_of_the_path_does(web, path):
    """`/items` is not `/itemsX`, and dots lead nowhere."""
    with pytest.raises(SourceUnavailable, match="does not allow"):
        open_source(http(web, path, allow=[f"{web.url}/items"]))


def test_neither_a_redirect_nor_a_next_page_leads_elsewhere(web):
    """The server that is allowed must not send us to one that is not."""
    web.answer = lambda path, headers, body: (302, {"Location": "http://127.0.0.1:1/"}, b"")
    with pytest.raises(SourceUnavailable, match="302"):
        texts(http(web))
    web.answer = lambda path, headers, body: (
        200,
        LINES | {"Link": "<http://127.0.0.1:1/>; rel=next"},
        b"1\n",
    )
    with pytest.raises(SourceUnavailable, match="does not allow"):
        texts(http(web))


def test_a_token_is_sent_and_never_shown(web, tmp_path: Path):
    """Read from the operator's file."""
    (tmp_path / "token").write_text("hush\n")
    spec = http(web)
    spec.setup["http"]["token-file"] = str(tmp_path / "token")
    web.answer = lambda path, headers, body: (403, {}, b"go away")
    with pytest.raises(SourceUnavailable, match=r"403.*go away") as refused:
        texts(spec)
    assert web.asked[0][1]["Authorization"] == "Bearer hush"
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize("page", [b"", b"{", b"{}", b'{"rows":3}', b"3", b'{"rows":[1],"next":7}'])
def test_a_page_that_is_not_what_was_expected_ends_it(web, page):
    """Half of the items must not pass for all of them."""
    web.answer = lambda path, headers, body: (200, JSON, page)
    with pytest.raises(SourceUnavailable):
        texts(http(web, items="rows", next="next"))


def test_a_server_that_is_not_there_is_said(web):
    """With its address."""
    url = "http://127.0.0.1:1/items"
    spec = SourceSpec(kind="http", reference=url, setup={"http": {"allow": ["http://127.0.0.1:1"]}})
    with pytest.raises(SourceUnavailable, match=r"127\.0\.0\.1:1"):
        texts(spec)


# -- Cyoda ------------------------------------------------------------------------------------------


def entity(number: int) -> bytes:
    return b'{"type":"ENTITY","data":{"amount":%d.10},"meta":{"id":"e-%d","state":"open"}}' % (number, number)


def cyoda(web, kind, reference, **options):
    return SourceSpec(
        kind=kind, reference=reference, options=options, setup={"cyoda": {"url": f"{web.url}/api"}}
    )


def test_a_search_gives_each_entity_once(web):
    """Conditions may overlap; the data keep their digits."""

    def answer(path, headers, body):
        numbers = [1, 2] if json.loads(body)["value"] == "a" else [2, 3]
        return 200, LINES, b"\n".join(map(entity, numbers)) + b"\n"

    web.answer = answer
    conditions = [{"type": "simple", "value": "a"}, {"type": "simple", "value": "b"}]
    found = texts(cyoda(web, "cyoda-search", "Position/1", conditions=conditions))
    assert found == [
        b'{"itemId":"e-%d","state":"open","data":{"amount":%d.10}}' % (number, number) for number in (1, 2, 3)
    ]
    assert web.asked[0][0] == "/api/search/direct/Position/1?limit=10000"


def test_entities_are_fetched_by_id(web, tmp_path: Path):
    """Those in the document, or those in a file."""
    web.answer = lambda path, headers, body: (200, JSON, entity(int(path.rpartition("-")[2])))
    expected = [b'{"itemId":"e-7","state":"open","data":{"amount":7.10}}']
    assert texts(cyoda(web, "cyoda-entities", "", ids=["e-7"])) == expected
    (tmp_path / "ids").write_text("e-7\n\n")
    assert texts(cyoda(web, "cyoda-entities", str(tmp_path / "ids"))) == expected


def test_an_id_cannot_leave_its_place_in_the_url(web):
    """It stands in a path."""
    web.answer = lambda path, headers, body: (404, {}, b"")
    with pytest.raises(SourceUnavailable, match="404"):
        texts(cyoda(web, "cyoda-entities", "", ids=["../model/export?x"]))
    assert web.asked[0][0] == "/api/entity/..%2Fmodel%2Fexport%3Fx"


def test_the_platform_is_asked_with_a_token_of_the_operators(web, tmp_path: Path):
    """Client credentials; fetched once while it lasts."""
    (tmp_path / "secret").write_text("s3cret")

    def answer(path, headers, body):
        if path == "/token":
            return 200, JSON, b'{"access_token":"tok","expires_in":3600}'
        return 200, JSON, entity(1)

    web.answer = answer
    spec = cyoda(web, "cyoda-entities", "", ids=["e-1", "e-1"])
    spec.setup["cyoda"] |= {
        "token-url": f"{web.url}/token",
        "client-id": "m",
        "client-secret-file": str(tmp_path / "secret"),
    }
    assert len(texts(spec)) == 1
    assert [path for path, _, _ in web.asked] == ["/token", "/api/entity/e-1", "/api/entity/e-1"]
    assert web.asked[1][1]["Authorization"] == "Bearer tok"


@pytest.mark.parametrize("reference", ["Position", "Position/x", "../1", "a b/1", ""])
def test_a_model_is_named_with_its_version(web, reference):
    """Nothing else gets into the URL."""
    with pytest.raises(SourceUnavailable, match="MODEL/VERSION"):
        open_source(cyoda(web, "cyoda-search", reference))


def test_what_is_no_entity_is_a_fault(web):
    """Of its place in the search."""
    web.answer = lambda path, headers, body: (200, LINES, entity(1) + b'\n{"x":1}\n')
    [chunk] = open_source(cyoda(web, "cyoda-search", "Position/1")).chunks()
    assert len(chunk.texts) == 1
    assert [fault.line for fault in chunk.faults] == [2]
