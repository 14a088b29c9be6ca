"""Access tokens."""

import time

import msgspec
import pytest

from everyitem.faces.http.security.scopes import Scope
from everyitem.faces.http.security.tokens import Credentials, TokenInfo, make_token


class Shelf:
    """Tokens in memory."""

    def __init__(self, *records):
        self.records = {one.token_id: one for one in records}

    def find(self, token_id):
        return self.records.get(token_id)


@pytest.fixture
def made():
    return make_token("nightly", Scope.RUN, by="ada@host", now=time.time())


def test_who_shows_a_token_is_named_as_it_was_made(made):
    """Histories name the token's name and id, never the token."""
    caller = Credentials(Shelf(made.record), admin_token=None).caller(made.text)
    assert (caller.name, caller.scope) == (f"nightly ({made.record.token_id})", Scope.RUN)


def test_what_is_kept_proves_nothing(made):
    """Neither the record nor what is shown of it holds the token's secret part."""
    secret = made.text.split("_", 2)[2]
    assert secret not in repr(made.record)
    assert secret.encode() not in msgspec.json.encode(TokenInfo.of(made.record))


def test_a_token_that_is_expired_or_revoked_is_nobodys(made):
    """From that moment."""
    for worthless in ({"expires_at": time.time() - 1}, {"revoked_at": time.time() - 1}):
        record = msgspec.structs.replace(made.record, **worthless)
        assert Credentials(Shelf(record), admin_token=None).caller(made.text) is None


def test_nothing_but_the_whole_token_will_do(made):
    """Not a part, not another one's secret, not the digest, not the empty text."""
    other = make_token("other", Scope.ADMIN, by="x", now=time.time())
    credentials = Credentials(Shelf(made.record, other.record), admin_token=None)
    public, secret = made.record.token_id, made.text.split("_", 2)[2]
    mixed = f"eit_{other.record.token_id}_{secret}"
    for wrong in (
        "",
        public,
        secret,
        made.text[:-1],
        made.text + "x",
        mixed,
        made.record.digest.hex(),
        "\udcff",
    ):
        assert credentials.caller(wrong) is None


def test_the_administrators_token_is_the_whole_variable():
    """And an empty or absent one lets nobody in."""
    credentials = Credentials(Shelf(), admin_token="s3cret")
    assert credentials.caller("s3cret").scope is Scope.ADMIN
    assert credentials.caller("s3cre") is None
    for absent in ("", None):
        assert Credentials(Shelf(), admin_token=absent).caller("") is None
