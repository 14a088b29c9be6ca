"""Secrets that parameters refer to: found where the operator keeps them, by the worker, and hidden then.

A document says `{"secretRef": "db-password"}` where a secret belongs. What is stored, shown and compared is
this reference; the secret itself takes its place in `context.parameters` only, in the memory of a worker.
Whatever text of the user's code is kept afterwards (messages of exceptions, log records) has it replaced.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

#: What a reference is: an object with this key and no other.
REFERENCE: Final = "secretRef"
#: Variables that hold secrets: `db-password` is in EVERYITEM_SECRET_DB_PASSWORD.
VARIABLE_PREFIX: Final = "EVERYITEM_SECRET_"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)
#: Secrets shorter than this would be found in every second word.
_SHORTEST_HIDDEN: Final = 4

#: What is to be hidden; the longest first.
_hidden: list[str] = []
_STAND_IN: Final = "***"


class UnknownSecret(LookupError):
    """No secret of that name is kept here, or what is kept cannot be read."""


def references(parameters: Any, path: str = "$") -> Iterator[tuple[str, object]]:
    """Path and name of every reference; the name may be anything JSON has."""
    if isinstance(parameters, dict):
        if parameters.keys() == {REFERENCE}:
            yield path, parameters[REFERENCE]
            return
        for key, value in parameters.items():
            yield from references(value, f"{path}.{key}")
    elif isinstance(parameters, list):
        for index, value in enumerate(parameters):
            yield from references(value, f"{path}[{index}]")


def find_secret(name: object, directory: str | None) -> str:
    """The secret of this name: its file in the operator's directory, else its environment variable.

    Raises:
        UnknownSecret: there is none. The text never holds a secret.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UnknownSecret("a secret's name is letters, digits, dots, dashes and underscores, 100 at most")
    if directory is not None:
        try:
            return Path(directory, name).read_text(encoding="utf-8").rstrip("\r\n")
        except FileNotFoundError:
            pass
        except (OSError, UnicodeDecodeError) as error:
            raise UnknownSecret(
                f"the file of secret {name!r} cannot be read ({type(error).__name__})"
            ) from None
    variable = VARIABLE_PREFIX + re.sub("[^A-Z0-9]", "_", name.upper())
    found = os.environ.get(variable)
    if found is None:
        where = f"{variable} is not set" + (f", and {directory} has no such file" if directory else "")
        raise UnknownSecret(f"there is no secret {name!r} here: {where}")
    return found


def reveal(parameters: Any, directory: str | None) -> Any:
    """The parameters with secrets in the place of references; these are hidden in texts from now on.

    Raises:
        UnknownSecret: one of them is not kept here.
    """
    if isinstance(parameters, dict):
        if parameters.keys() == {REFERENCE}:
            secret = find_secret(parameters[REFERENCE], directory)
            _hide(secret)
            return secret
        return {key: reveal(value, directory) for key, value in parameters.items()}
    if isinstance(parameters, list):
        return [reveal(value, directory) for value in parameters]
    return parameters


def mask(text: str) -> str:
    """The text without any secret this process has revealed."""
    for secret in _hidden:
        text = text.replace(secret, _STAND_IN)
    return text


def _hide(secret: str) -> None:
    """Also as it looks in a `repr`, in JSON text and in a URL."""
    # not at the top: every worker passes this module, and few have secrets
    import json
    from urllib.parse import quote

    looks = {secret, repr(secret)[1:-1], json.dumps(secret)[1:-1], quote(secret, safe="")}
    found = {look for look in looks if len(look) >= _SHORTEST_HIDDEN}
    _hidden[:] = sorted(found.union(_hidden), key=len, reverse=True)
