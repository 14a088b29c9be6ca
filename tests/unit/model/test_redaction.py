"""Secrets are hidden, and what is none stays readable."""

import pytest

from everyitem.model import redaction
from everyitem.model.redaction import HIDDEN, learn, redact, redact_all


@pytest.fixture(autouse=True)
def nothing_learnt(monkeypatch):
    monkeypatch.setattr(redaction, "_learnt", {})


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://me:canary42@db/x refused",
        "postgresql://me:can@ary42@db/x",
        "Authorization: Bearer canary42abc",
        "password=canary42",
        'the answer was {"apiKey": "canary42", "n": 1}',
        "api_key: canary42, next",
        "client-secret='canary42'",
        "https://host/path?access_token=canary42&x=1",
    ],
)
def test_secrets_are_hidden(text):
    """In URLs, headers, assignments and JSON."""
    assert "ary42" not in redact(text)
    assert HIDDEN in redact(text)


@pytest.mark.parametrize("text", ["ValueError: 12 is too much", "https://host/a?b=c", "item t-1 failed"])
def test_other_texts_stay_as_they_are(text):
    """Nobody can work with a log in which everything is hidden."""
    assert redact(text) == text


def test_values_of_secret_parameters_are_hidden_wherever_they_turn_up():
    """An exception that quotes its configuration gives nothing away."""
    learn({"url": "https://bank", "auth": {"token": "canary-token"}, "keys": {"apiKey": ["canary-key"]}})
    assert redact("cannot log in with canary-token and canary-key at https://bank") == (
        f"cannot log in with {HIDDEN} and {HIDDEN} at https://bank"
    )


def test_short_values_are_no_secrets():
    """Hiding every `1` would make the log unreadable."""
    learn({"password": "1"})
    assert redact("1 of 10") == "1 of 10"


def test_members_with_secret_names_are_hidden_whole():
    """Structured fields of a record are looked at by their names."""
    assert redact_all({"password": {"a": 1}, "n": [1, "token=abcdef"]}) == {
        "password": HIDDEN,
        "n": [1, f"token={HIDDEN}"],
    }
