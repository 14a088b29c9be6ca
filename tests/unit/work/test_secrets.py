"""Secrets that parameters refer to."""

import pytest

from everyitem.work import secrets
from everyitem.work.secrets import UnknownSecret, find_secret, mask, references, reveal


@pytest.fixture(autouse=True)
def nothing_revealed(monkeypatch):
    monkeypatch.setattr(secrets, "_hidden", [])


def test_a_reference_is_an_object_with_one_key():
    """Only `{"secretRef": ...}` refers to a secret; an object with more keys is data."""
    parameters = {"a": {"secretRef": "x"}, "b": [{"secretRef": "y"}, {"secretRef": "z", "more": 1}]}
    assert list(references(parameters)) == [("$.a", "x"), ("$.b[0]", "y")]


def test_the_file_wins_over_the_variable(tmp_path, monkeypatch):
    """Where the operator's directory has the file, the environment is not looked at."""
    monkeypatch.setenv("EVERYITEM_SECRET_DB_PASSWORD", "from-environment")
    assert find_secret("db-password", str(tmp_path)) == "from-environment"
    (tmp_path / "db-password").write_text("from-file\n")
    assert find_secret("db-password", str(tmp_path)) == "from-file"


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../passwd", "/etc/passwd", "a/b", "a" * 101, "é", 3, None, {}]
)
def test_a_name_never_leads_elsewhere(tmp_path, name):
    """A name is a name: no path, nothing but text."""
    (tmp_path / "passwd").write_text("root")
    with pytest.raises(UnknownSecret, match="name"):
        find_secret(name, str(tmp_path / "secrets"))


def test_an_unknown_secret_is_named_and_where_it_was_looked_for(tmp_path):
    """The message says what to set."""
    with pytest.raises(UnknownSecret, match=r"'nope'.*EVERYITEM_SECRET_NOPE.*no such file"):
        find_secret("nope", str(tmp_path))


def test_what_is_revealed_is_hidden_in_texts_from_then_on(monkeypatch):
    """Also where it was quoted for Python, for JSON or for a URL."""
    secret = 'p"w/d é'
    monkeypatch.setenv("EVERYITEM_SECRET_DB", secret)
    assert mask(f"before: {secret}") == f"before: {secret}"
    assert reveal({"login": [{"secretRef": "db"}, 1]}, None) == {"login": [secret, 1]}
    for text in (secret, repr(secret), '"p\\"w/d \\u00e9"', "https://u:p%22w%2Fd%20%C3%A9@host"):
        assert "w/d" not in mask(text)
        assert "***" in mask(text)


def test_a_secret_within_another_one_leaves_no_rest(monkeypatch):
    """The longest one is replaced first."""
    monkeypatch.setenv("EVERYITEM_SECRET_A", "hunter")
    monkeypatch.setenv("EVERYITEM_SECRET_B", "hunter2-more")
    reveal([{"secretRef": "a"}, {"secretRef": "b"}], None)
    assert mask("hunter2-more, hunter") == "***, ***"
