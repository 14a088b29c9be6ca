"""Tokens by client credentials: when one is fetched, and what a refusal says."""

import threading

import pytest
from tests.services.web import Web, web

from everyitem.adapters import oauth2
from everyitem.adapters.oauth2 import ClientTokens
from everyitem.ports.bearer import TokenRefused
from everyitem.settings.credentials import Credentials

__all__ = ["web"]

JSON = {"Content-Type": "application/json"}


def tokens(web: Web, path: str = "/token") -> ClientTokens:
    return ClientTokens(Credentials(f"{web.url}{path}", "me", "s3cret"), timeout=10.0)


def grants(web: Web, life: object = 3600) -> None:
    """Each token is another one."""
    numbers = iter(range(1, 1000))

    def answer(*_: object) -> tuple[int, dict[str, str], bytes]:
        text = f'{{"access_token":"t{next(numbers)}","expires_in":{life}}}'
        return 200, JSON, text.encode()

    web.answer = answer


def test_one_token_is_used_for_most_of_its_life(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """What begins with it may take a while, so the last fifth is not used."""
    grants(web, 100)
    now = 1000.0
    monkeypatch.setattr(oauth2.time, "monotonic", lambda: now)
    mine = tokens(web)
    assert mine.current() == "t1"
    now += 79.0
    assert mine.current() == "t1"
    now += 2.0
    assert mine.current() == "t2"


def test_the_client_proves_who_it_is_in_a_header(web: Web) -> None:
    """And the form says what kind of token it wants; a query in the URL stays."""
    grants(web)
    tokens(web, "/token?tenant=7").current()
    ((path, headers, body),) = web.asked
    assert (path, body) == ("/token?tenant=7", b"grant_type=client_credentials")
    assert headers["Authorization"] == "Basic bWU6czNjcmV0"
    assert headers["Content-Type"] == "application/x-www-form-urlencoded"


def test_threads_share_one_token(web: Web) -> None:
    """However many begin at once."""
    grants(web)
    mine, seen = tokens(web), []
    threads = [threading.Thread(target=lambda: seen.append(mine.current())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (seen, len(web.asked)) == (["t1"] * 8, 1)


def test_a_token_that_was_not_accepted_is_replaced_once(web: Web) -> None:
    """Several callers learn it at about the same time: the second must not drop the new one."""
    grants(web)
    mine = tokens(web)
    refused = mine.current()
    mine.drop(refused)
    assert mine.current() == "t2"
    mine.drop(refused)
    assert mine.current() == "t2"


@pytest.mark.parametrize(
    ("text", "seconds"), [('"3600"', 3600.0), ("3600", 3600.0), ("null", 60.0), ("0.5", 0.5)]
)
def test_how_long_a_token_lives_may_be_written_in_several_ways(web: Web, text: str, seconds: float) -> None:
    """Some servers write the number as a text, and it may be left out (RFC 6749, section 5.1)."""
    grants(web, text)
    granted = tokens(web).request()
    assert (granted.token, granted.seconds) == ("t1", seconds)


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, b'{"error":"invalid_client","error_description":"no\\nsuch client"}', r"401.*no such client"),
        (503, b"busy", "503"),
        (400, b'{"error":7}', "400"),
        (200, b"{}", "without an access_token"),
        (200, b'{"access_token":""}', "without an access_token"),
        (200, b'{"access_token":"t","expires_in":"soon"}', "without an access_token"),
        (200, b"\xff", "without an access_token"),
    ],
)
def test_a_refusal_is_told_without_the_secret(web: Web, status: int, body: bytes, said: str) -> None:
    """In the server's words where it says it as OAuth2 wants it (RFC 6749, section 5.2)."""
    web.answer = lambda *_: (status, {**JSON, "Retry-After": "7"}, body)
    with pytest.raises(TokenRefused, match=said) as refused:
        tokens(web).current()
    assert "s3cret" not in str(refused.value)
    assert refused.value.wait == (7.0 if status != 200 else None)


def test_credentials_follow_no_redirect(web: Web) -> None:
    """Where it leads nobody has said they are welcome."""
    web.answer = lambda *_: (302, {"Location": f"{web.url}/elsewhere"}, b"")
    with pytest.raises(TokenRefused, match="302"):
        tokens(web).current()
    assert [path for path, _, _ in web.asked] == ["/token"]


def test_a_server_that_is_not_there_is_named() -> None:
    """With its address."""
    nobody = ClientTokens(Credentials("http://127.0.0.1:9/token", "me", "s3cret"), timeout=10.0)
    with pytest.raises(TokenRefused, match=r"127\.0\.0\.1:9"):
        nobody.current()


@pytest.mark.parametrize("url", ["http://[::1/token", "http://host:port/token", "ftp://host/token", "token"])
def test_a_url_nothing_can_be_asked_at_is_a_refusal(url: str) -> None:
    """Not a crash of whoever wanted a token."""
    with pytest.raises(TokenRefused):
        ClientTokens(Credentials(url, "me", "s3cret"), timeout=10.0).current()
