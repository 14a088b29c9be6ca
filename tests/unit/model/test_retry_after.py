"""How long a server asks to be left alone; `RetryLater.from_header` is tested with what it raises."""

import pytest

from everyitem.model.retry_after import seconds_asked


@pytest.mark.parametrize("header", ["301", "9" * 400, "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_no_server_makes_anybody_wait_for_ever(header: str) -> None:
    """Whatever it asks for, who asks says what is the most."""
    assert seconds_asked(header, longest=300.0) == 300.0


@pytest.mark.parametrize("header", [None, "", "soon", "-1", "1.5"])
def test_what_says_nothing_is_told_from_at_once(header: str | None) -> None:
    """Each caller has its own usual wait."""
    assert seconds_asked(header, longest=300.0) is None
    assert seconds_asked("0", longest=300.0) == 0.0
