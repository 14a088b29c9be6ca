"""What there is to know about the server behind a store, for whoever looks after it."""

import msgspec


class StoreServer(msgspec.Struct, frozen=True, kw_only=True):
    """A server as it presents itself now."""

    #: Name and version, as people write them.
    version: str
    #: Whether this everyitem is made for that version.
    supported: bool
    #: The host it was reached at; a folder for a Unix socket.
    host: str
    #: Whether what is sent stays on this machine.
    local: bool
    #: Whether what is sent is encrypted (TLS).
    encrypted: bool
    #: Settings under which the server may lose what it has confirmed; none is well.
    careless: tuple[str, ...]
    #: Milliseconds from a question to its answer.
    round_trip_ms: float
    #: Seconds its clock is ahead of ours.
    clock_ahead: float
