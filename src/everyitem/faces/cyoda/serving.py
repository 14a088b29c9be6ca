"""Putting a member together from settings and flags."""

from collections.abc import Callable, Sequence
from typing import Any

from everyitem import compose
from everyitem.faces.api.conduct import Inbox
from everyitem.faces.api.reading import load_item_processors
from everyitem.faces.cyoda.member import Member
from everyitem.faces.cyoda.options import read_options
from everyitem.model.errors import UsageError
from everyitem.model.store_url import shown_url
from everyitem.settings import Settings


def require_extra() -> None:
    """Raises `UsageError` where the extra `cyoda` is not installed."""
    try:
        import google.protobuf  # noqa: F401
        import grpc  # noqa: F401
    except ImportError as missing:
        raise UsageError(f"{missing.name} is missing; pip install 'everyitem[cyoda]' brings it") from None


def make_member(
    settings: Settings,
    *,
    processors: Sequence[str] | None,
    inbox: Inbox,
    say: Callable[[str], None],
    **flags: Any,
) -> Member:
    """A member that is ready to `run`; `flags` are `CyodaOptions` by name, None where not given.

    Raises:
        UsageError: something is missing, cannot be read or does not load.
    """
    require_extra()
    options = read_options(settings, **flags)
    load_item_processors(processors or settings.processors)
    say(f"store: {shown_url(settings.store or compose.default_store_url())}")
    return Member(settings, options, inbox=inbox, say=say)
