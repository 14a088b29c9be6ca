"""An outcome as fields of an entity: of the same types whatever the item processor returns.

A locked model of the platform knows one type for each field, so a result is the text of its JSON.
"""

from typing import Any, Final

from everyitem.ports.outcome import Outcome
from everyitem.ports.sink import Delivery

#: The field that names an outcome for good; a model's unique key is on it.
KEY: Final = "resultKey"
#: Bytes of a result that an entity carries; a longer one stays in the store.
MOST_BYTES: Final = 4 << 20


def outcome_fields(delivery: Delivery, outcome: Outcome) -> dict[str, Any]:
    """What every outcome has, and its result or its error."""
    fields: dict[str, Any] = {
        KEY: delivery.key(outcome),
        "status": "SUCCEEDED" if outcome.succeeded else "FAILED",
        "attempts": outcome.attempts,
    }
    if not outcome.succeeded:
        error = {"errorCode": outcome.code, "errorType": outcome.type, "errorMessage": outcome.message}
        return fields | {name: _sound(text) for name, text in error.items()}
    result = outcome.result or b"null"
    if len(result) > MOST_BYTES:
        return fields | {"resultKept": True}
    return fields | {"result": result.decode("utf-8")}


def _sound(text: str) -> str:
    """With lone surrogates, which no JSON text may hold, as `?`."""
    return text.encode("utf-8", "replace").decode("utf-8")
