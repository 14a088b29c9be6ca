"""What somebody who calls a service of others as himself needs: tokens to show."""

from typing import Protocol

import msgspec


class Granted(msgspec.Struct, frozen=True):
    """A token, and the seconds it lives."""

    token: str
    seconds: float


class TokenRefused(Exception):
    """There is no token to be had now; says what the token server said, and never a secret."""

    def __init__(self, reason: str, *, wait: float | None = None) -> None:
        """`wait`: seconds the token server asks for."""
        super().__init__(reason)
        self.wait = wait


class BearerTokens(Protocol):
    """The token in force, for any number of callers on threads of their own. Calls block."""

    def current(self) -> str:
        """A token that is valid for a while yet. Raises `TokenRefused`."""
        ...

    def drop(self, token: str) -> None:
        """It was not accepted: the next one is a new one."""
        ...

    def request(self) -> Granted:
        """A new one, kept by nobody. Raises `TokenRefused`."""
        ...
