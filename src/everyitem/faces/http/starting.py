"""Putting a server together from settings and flags."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from everyitem.faces.api.conduct import Inbox
from everyitem.model.errors import UsageError
from everyitem.settings import Settings

if TYPE_CHECKING:
    from everyitem.faces.http.server import Server


def require_extra() -> None:
    """Raises `UsageError` where the extra `api` is not installed."""
    try:
        import fastapi  # noqa: F401
        import h11  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as missing:
        raise UsageError(f"{missing.name} is missing; pip install 'everyitem[api]' brings it") from None


def make_server(settings: Settings, *, inbox: Inbox, say: Callable[[str], None], **flags: Any) -> "Server":
    """A server that is ready to `run`; `flags` are `HttpOptions` by name, None where not given.

    Raises:
        UsageError: something is missing, cannot be read or does not load.
    """
    require_extra()
    from everyitem.faces.http.options import read_options
    from everyitem.faces.http.server import Server

    return Server(settings, read_options(settings, **flags), inbox=inbox, say=say)
