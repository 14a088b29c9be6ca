"""`Host`, `Origin` and their kin."""

import pytest

from everyitem.faces.http.security.places import Places, is_loopback

LOCAL = Places(bound_to="127.0.0.1", hosts=(), origins=())


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost"])
def test_loopback_is_what_no_other_machine_reaches(host):
    """All of 127/8, ::1 and the name."""
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org", "127.0.0.1.example.org", ""])
def test_everything_else_may_be_reached(host):
    """A name that only looks like it included."""
    assert not is_loopback(host)


@pytest.mark.parametrize("host", ["localhost", "localhost:8484", "127.0.0.1:1", "[::1]:8484", "LOCALHOST"])
def test_on_loopback_the_machines_own_names_are_answered(host):
    """With any port: it may be forwarded."""
    assert LOCAL.objection({"host": host}, is_changing=True) is None


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "localhost.evil:80", "[::2]"])
def test_on_loopback_another_name_is_refused(host):
    """A page that has rebound its name to 127.0.0.1 sends its own name."""
    assert "host" in LOCAL.objection({"host": host}, is_changing=False)


@pytest.mark.parametrize(
    "origin",
    ["null", "http://evil.example", "http://127.0.0.1", "http://127.0.0.1:1", "file://", "http://", "x"],
)
def test_a_page_from_elsewhere_may_not_even_ask(origin):
    """Another port is elsewhere."""
    headers = {"host": "127.0.0.1:8484", "origin": origin}
    assert "pages" in LOCAL.objection(headers, is_changing=False)


def test_own_pages_and_those_the_operator_names_may_call():
    """Scheme, host and port decide."""
    places = Places(bound_to="127.0.0.1", hosts=("batches.example",), origins=("https://team.example",))
    for host, origin in (
        ("127.0.0.1:8484", "http://127.0.0.1:8484"),
        ("batches.example", "https://batches.example"),
        ("localhost:8484", "https://team.example"),
    ):
        assert places.objection({"host": host, "origin": origin}, is_changing=True) is None


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_site_may_link_here_and_change_nothing(site):
    """A link is followed; a form without an origin is not."""
    headers = {"host": "127.0.0.1:8484", "sec-fetch-site": site}
    assert LOCAL.objection(headers, is_changing=False) is None
    assert LOCAL.objection(headers, is_changing=True) is not None


def test_off_loopback_every_name_is_answered_until_the_operator_says_which():
    """Names of a server on the network are for its operator to know."""
    headers = {"host": "anything.example"}
    assert Places(bound_to="0.0.0.0", hosts=(), origins=()).objection(headers, is_changing=True) is None
    named = Places(bound_to="0.0.0.0", hosts=("batches.example",), origins=())
    assert named.objection(headers, is_changing=True) is not None
    assert named.objection({"host": "Batches.Example:443"}, is_changing=True) is None
