"""A table of the configuration file that one face reads and checks itself (`[cyoda]`, `[http]`)."""

import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from everyitem.model.errors import UsageError
from everyitem.settings.unusable import of_setting
from everyitem.settings.values import ENVIRONMENT_PREFIX

Options = TypeVar("Options", bound=BaseModel)


def values_of(
    name: str,
    table: Mapping[str, Any],
    *,
    file: str | None,
    paths: Collection[str] = (),
    lists: Collection[str] = (),
) -> dict[str, Any]:
    """What the file's table says, and over it the environment (`EVERYITEM_NAME_...`).

    `paths` are settings that name files: relative ones are meant from the configuration file's folder.
    `lists` are settings with several values, parted by commas in the environment.
    """
    values = {_snake(key): value for key, value in table.items()}
    folder = Path(file or ".").parent
    for path in paths:
        if isinstance(values.get(path), str):
            values[path] = os.fspath(folder / values[path])
    prefix = f"{ENVIRONMENT_PREFIX}{name.upper()}_"
    for variable, value in os.environ.items():
        if variable.startswith(prefix):
            key = variable.removeprefix(prefix).lower()
            values[key] = tuple(filter(None, value.split(","))) if key in lists else value
    return values


def checked(name: str, model: type[Options], values: Mapping[str, Any]) -> Options:
    """The options these values make.

    Raises:
        UsageError: naming every setting that cannot be used.
    """
    try:
        return model(**values)
    except ValidationError as refused:
        lines = []
        for error in refused.errors(include_url=False):
            key = ".".join(str(step).replace("_", "-") for step in error["loc"])
            lines.append(f"{name}{'.' if key else ''}{key}: {of_setting(error)}")
        raise UsageError("; ".join(lines)) from None


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).replace("-", "_").lower()
