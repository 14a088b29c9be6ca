"""What the operator decides: limits, defaults, the store, and where each value came from.

`import everyitem.settings` is cheap; pydantic is loaded only where a file or the environment says something.
"""

import os
from typing import Any

from everyitem.settings.origin import Origin, Setting
from everyitem.settings.values import DEFAULT_FILE, ENVIRONMENT_PREFIX, Environment, Settings

__all__ = ["Environment", "Origin", "Setting", "Settings", "load_settings"]


def load_settings(config: str | None = None, **overrides: object) -> Settings:
    """Read `everyitem.toml` (or `config`) and `EVERYITEM_*`; see `everyitem.settings.loading`.

    `overrides` are snake_case names given on the command line or to the API; None means not given.
    Raises `UsageError` naming every setting that cannot be used.
    """
    given: dict[str, Any] = {name: value for name, value in overrides.items() if value is not None}
    if config is None and _needs_no_check(given) and not _is_configured():
        # most commands, most of the time; the sixth of a second that pydantic takes is theirs
        return Settings(**given, origins=dict.fromkeys(given, Origin.CLI))
    from everyitem.settings.loading import load

    return load(config, given)


def _needs_no_check(given: dict[str, Any]) -> bool:
    """Whether these overrides are nothing, or a store: opening it says what is wrong with its URL."""
    store = given.get("store")
    return not given or (len(given) == 1 and isinstance(store, str) and store != "")


def _is_configured() -> bool:
    """Whether a file or a variable may have something to say."""
    return os.path.lexists(DEFAULT_FILE) or any(
        name.upper().startswith(ENVIRONMENT_PREFIX) for name in os.environ
    )
