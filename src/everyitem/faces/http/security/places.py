"""From where and for where a request is: what `Host`, `Origin` and their kin must say. Pure."""

import ipaddress
from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

_LOOPBACK_NAMES = frozenset(("localhost", "127.0.0.1", "[::1]"))


def is_loopback(host: str) -> bool:
    """Whether a server bound to this name or address can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Places:
    """Which names the server answers to, and which pages may call it.

    A page of another site can make a browser send requests to a server on the reader's own machine. What
    it cannot do is leave out or change `Host` (DNS rebinding) and `Origin` (any other page).
    """

    def __init__(self, *, bound_to: str, hosts: Collection[str], origins: Collection[str]) -> None:
        """`hosts` and `origins` are what the operator allows beside the server's own."""
        names = {host.lower() for host in hosts}
        #: None: every name, where nobody said which and the server is for other machines anyway.
        self._names = names | _LOOPBACK_NAMES if is_loopback(bound_to) else names or None
        if self._names is not None and ":" not in bound_to:
            self._names |= {bound_to.lower()}
        self._origins = frozenset(origin.lower().rstrip("/") for origin in origins)

    def objection(self, headers: Mapping[str, str], *, is_changing: bool) -> str | None:
        """Why this request must not be carried out; None where nothing speaks against it."""
        host = headers.get("host", "").lower()
        if self._names is not None and _name_of(host) not in self._names:
            return f"this server does not answer to the host {host!r}; see `hosts` of its settings"
        origin = headers.get("origin")
        if origin is not None and not self._is_own(origin.lower(), host):
            return f"pages of {origin!r} may not call this server; see `origins` of its settings"
        site = headers.get("sec-fetch-site", "none")
        if is_changing and origin is None and site not in ("none", "same-origin"):
            return "pages of other sites may not change anything here"
        return None

    def _is_own(self, origin: str, host: str) -> bool:
        return origin.rstrip("/") in self._origins or (
            origin.startswith(("http://", "https://")) and urlsplit(origin).netloc == host != ""
        )


def _name_of(host: str) -> str:
    """The host without its port."""
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]
