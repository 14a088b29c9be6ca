"""Which server the command works on; a module of its own because every command passes it."""

#: What `--server` names.
_server: str | None = None


def choose_server(url: str | None) -> None:
    """From now on commands work on this server; None: on a store."""
    global _server
    _server = url


def chosen_server() -> str | None:
    """The server commands work on; None where they work on a store."""
    return _server
