"""Where a setting in force came from (contract section 1, "Precedence of any setting")."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Origin(StrEnum):
    """Who decided a value; the strongest first."""

    CLI = "cli"
    DOCUMENT = "document"
    ENVIRONMENT = "environment"
    FILE = "file"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Setting:
    """One value in force, as `plan` shows it."""

    value: Any
    origin: Origin
