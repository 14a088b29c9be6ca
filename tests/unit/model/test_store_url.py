"""What may be shown of a store's URL."""

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everyitem.model.store_url import port_in, shown_url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:////var/lib/batches.sqlite", "sqlite:////var/lib/batches.sqlite"),
        ("batches.sqlite", "batches.sqlite"),
        ("postgresql://h/db", "postgresql://h/db"),
        ("postgresql://u@h/db", "postgresql://u@h/db"),
        ("postgresql://u:pw@h:5432/db", "postgresql://u:***@h:5432/db"),
        ("postgresql://u:p@w/x?y@h/db", "postgresql://u:***@h/db"),
        ("nats://token@h:4222", "nats://***@h:4222"),
        ("tls://token@h", "tls://***@h"),
        ("nats://h1:4222,h2", "nats://h1:4222,h2"),
        ("postgresql://:pw@/db", "postgresql://:***@/db"),
        ("postgresql://h1:1,h2:2/db", "postgresql://h1:1,h2:2/db"),
        ("postgresql://h/db?user=u&password=pw&schema=s", "postgresql://h/db?user=u&password=***&schema=s"),
        ("postgresql://h/db?%70assword=pw", "postgresql://h/db?%70assword=***"),
        (
            "postgresql://h/db?sslpassword=pw&sslmode=require",
            "postgresql://h/db?sslpassword=***&sslmode=require",
        ),
    ],
)
def test_only_secrets_are_hidden(url: str, shown: str) -> None:
    """Password of the user, of the key, or given as a parameter, however it is written."""
    assert shown_url(url) == shown


@given(st.text(min_size=1).map(lambda text: f"<{text}>"))
def test_no_password_is_ever_shown(password: str) -> None:
    """Whatever characters it has, escaped or not."""
    assert password not in shown_url(f"postgresql://u:{password}@h/db")


def test_what_stands_in_the_place_of_a_port_is_not_shown() -> None:
    """It is the beginning of a password that was not escaped."""
    assert port_in(urlsplit("amqp://h:5672/")) == 5672
    assert port_in(urlsplit("amqp://h/")) is None
    with pytest.raises(ValueError, match="escaping") as wrong:
        port_in(urlsplit("amqp://u:s3c/ret@h/"))
    assert "s3c" not in str(wrong.value)
