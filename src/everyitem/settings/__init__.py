"""What the operator decides: limits, defaults, the store, and where each value came from.

`import everyitem.settings` is cheap; pydantic is loaded only when a file or the environment is read.
"""

from everyitem.settings.origin import Origin, Setting
from everyitem.settings.values import Environment, Settings

__all__ = ["Environment", "Origin", "Setting", "Settings", "load_settings"]


def load_settings(config: str | None = None, **overrides: object) -> Settings:
    """Read `everyitem.toml` (or `config`) and `EVERYITEM_*`; see `everyitem.settings.loading`.

    `overrides` are snake_case names given on the command line or to the API; None means not given.
    Raises `UsageError` naming every setting that cannot be used.
    """
    from everyitem.settings.loading import load

    return load(config, {name: value for name, value in overrides.items() if value is not None})
