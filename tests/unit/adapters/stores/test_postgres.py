"""What only the PostgreSQL store does, as far as it needs no server."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everyitem.adapters.stores import open_store
from everyitem.adapters.stores.postgres.examination import is_local
from everyitem.adapters.stores.postgres.place import find_place
from everyitem.adapters.stores.postgres.texts import escaped, unescaped
from everyitem.model.errors import StoreError, UsageError


@given(st.text(alphabet=st.sampled_from("ab01\x00\ue000\ue001é")))
def test_any_text_comes_back_as_it_was(text: str) -> None:
    """No NUL goes in, and what was escaped comes out again, the escapes themselves included."""
    stored = escaped(text)
    assert "\x00" not in stored
    assert unescaped(stored) == text


def test_our_own_parameter_is_not_passed_on() -> None:
    """libpq would refuse `schema`; everything else is its business."""
    place = find_place("postgresql://u:pw@h/db?sslmode=require&schema=team_a&connect_timeout=9")
    assert place.conninfo == "postgresql://u:pw@h/db?sslmode=require&connect_timeout=9"
    assert (place.schema, str(place)) == (
        "team_a",
        "postgresql://u:***@h/db?sslmode=require&schema=team_a&connect_timeout=9",
    )
    assert "pw" not in repr(place)
    parameters = place.parameters()
    assert "connect_timeout" not in parameters
    assert parameters["keepalives_count"] == 3


@pytest.mark.parametrize(
    "url",
    [
        'postgresql://u:secret@h/db?schema=a"b',
        "postgresql://u:secret@h/db?schema=",
        "postgresql://u:secret@h/db?nonsense=1",
        "postgresql://u:secret@h/db?sslmode",
        "postgresql://u:secret@[h/db",
    ],
)
def test_a_url_that_cannot_be_understood_is_refused_without_its_password(url: str) -> None:
    """Neither the message nor what is chained to it shows the secret."""
    with pytest.raises(UsageError) as refused:
        find_place(url)
    assert "secret" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_server_that_is_not_there_is_said_at_once() -> None:
    """Opening does not wait: a wrong name would be waited for in vain."""
    with pytest.raises(StoreError, match=r"postgresql://u:\*\*\*@127\.0\.0\.1:1/db"):
        open_store("postgresql://u:secret@127.0.0.1:1/db")


def test_without_psycopg_the_store_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is imported when it is asked for, and not before."""
    for name in [name for name in sys.modules if name.startswith("everyitem.adapters.stores.postgres")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(UsageError, match=r"everyitem\[postgres\]"):
        open_store("postgresql://u:secret@h/db")


@pytest.mark.parametrize(
    ("host", "address", "local"),
    [
        ("/run/postgresql", "", True),
        ("", "", True),
        ("localhost", "127.0.0.1", True),
        ("localhost", "::1", True),
        ("db.example", "10.0.0.7", False),
        ("127.0.0.5", "", True),
        ("db.example", "", False),
    ],
)
def test_what_stays_on_this_machine(host: str, address: str, local: bool) -> None:
    """Sockets and loopback."""
    assert is_local(host, address) is local
