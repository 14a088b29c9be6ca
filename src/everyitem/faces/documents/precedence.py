"""Which value of a setting is in force, and who decided it.

Command line or API, then document, environment, configuration file, default (contract section 1). The
operator's ceilings stand above all of them.
"""

from typing import Any, TypeVar

from everyitem.faces.documents.problems import Problems
from everyitem.settings import Origin, Setting, Settings

T = TypeVar("T")


class Precedence:
    """Decides settings one by one and remembers each with its origin."""

    def __init__(self, settings: Settings, problems: Problems) -> None:
        self._settings = settings
        self._problems = problems
        self.in_force: dict[str, Setting] = {}

    def decide(
        self,
        name: str,
        *,
        cli: T | None = None,
        document: T | None = None,
        setting: str | None = None,
        default: Any = None,
    ) -> Any:
        """The value in force of `name` (camelCase): `cli`, `document`, the `setting` or the `default`."""
        if cli is not None:
            chosen = Setting(cli, Origin.CLI)
        elif document is not None:
            chosen = Setting(document, Origin.DOCUMENT)
        elif setting is not None:
            chosen = Setting(getattr(self._settings, setting), self._settings.origin(setting))
        else:
            chosen = Setting(default, Origin.DEFAULT)
        self.in_force[name] = chosen
        return chosen.value

    def cap(self, name: str, ceiling: Any, *, path: str, setting: str) -> Any:
        """Lower a decided value to the operator's ceiling, saying so; returns what is in force."""
        chosen = self.in_force[name]
        if chosen.value > ceiling:
            self._problems.warn(
                path,
                f"{chosen.value:,} is above the operator's {name} of {ceiling:,}; that one holds",
            )
            chosen = self.in_force[name] = Setting(ceiling, self._settings.origin(setting))
        return chosen.value
