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
