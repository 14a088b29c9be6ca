"""What a caller may do, and who he is."""

from dataclasses import dataclass
from enum import StrEnum


class Scope(StrEnum):
    """What a token is good for; each one includes those before it."""

    #: Look at everything.
    READ = "read"
    #: Submit batches and steer them.
    RUN = "run"
    #: Create and revoke tokens.
    ADMIN = "admin"

    def includes(self, other: "Scope") -> bool:
        """Whether who has this scope may do what asks for the other."""
        order = list(Scope)
        return order.index(self) >= order.index(other)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a request: what histories and the audit log name."""

    name: str
    scope: Scope


#: Whoever can open a connection to a server that is bound to loopback and asks for no token.
LOCAL = Caller("local", Scope.ADMIN)

#: Whoever has the token of the environment variable.
ADMINISTRATOR = Caller("admin", Scope.ADMIN)

#: Methods that change nothing.
READING = frozenset(("GET", "HEAD", "OPTIONS"))


def scope_needed(method: str, path: str) -> Scope:
    """What a request asks for. Decided by method and path alone, so that a new route cannot forget it."""
    if path == TOKENS or path.startswith(TOKENS + "/"):
        return Scope.ADMIN
    return Scope.READ if method in READING else Scope.RUN


#: Where tokens are managed.
TOKENS = "/v1/tokens"
