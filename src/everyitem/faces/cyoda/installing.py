"""Set-up of a platform: the model `ProcessingBatch` and its workflow, imported through its HTTP interface."""

import json
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Final

from everyitem.faces.cyoda.frames import Credentials
from everyitem.faces.cyoda.tokens import TokenRefused, request_token
from everyitem.faces.cyoda.web import WebError, call
from everyitem.model.errors import EveryitemError

MODEL: Final = "ProcessingBatch"
#: Of the model, not of everyitem: a locked model never changes, its next version is another model.
VERSION: Final = 1

_CONFLICT: Final = 409


class InstallFailed(EveryitemError):
    """The platform did not take a step; says which, and what it answered."""


def model_sample() -> bytes:
    """An entity with every field in and out, from which the platform infers the model."""
    return files(__package__).joinpath("setup", "model.json").read_bytes()


def workflow() -> bytes:
    """The workflow from `created` to `completed`, as the platform imports it."""
    return files(__package__).joinpath("setup", "workflow.json").read_bytes()


def install(url: str, credentials: Credentials | None, *, say: Callable[[str], None]) -> None:
    """Import model and workflow into the platform at `url` (`http://HOST:PORT/api`), saying what was done.

    May be repeated: a model that is there is left as it is, the workflow is replaced.

    Raises:
        InstallFailed: the platform cannot be reached or refuses a step.
    """
    base = url.rstrip("/")
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if credentials is not None:
        try:
            headers["Authorization"] = f"Bearer {request_token(credentials)[0]}"
        except TokenRefused as refused:
            raise InstallFailed(str(refused)) from None
    named = f"{MODEL}/{VERSION}"
    if _step(f"{base}/model/import/JSON/SAMPLE_DATA/{named}", "POST", model_sample(), headers):
        say(f"model {named}: imported")
        _step(f"{base}/model/{named}/changeLevel/STRUCTURAL", "POST", None, headers)
        say(f"model {named}: change level STRUCTURAL, so that entities may have fields of their own")
        _step(f"{base}/model/{named}/lock", "PUT", None, headers)
        say(f"model {named}: locked")
    else:
        say(f"model {named}: there already and locked; left as it is")
    _step(f"{base}/model/{named}/workflow/import", "POST", workflow(), headers)
    say("workflow BatchProcessingWorkflow: imported in place of any other of this model")


def _step(url: str, method: str, body: bytes | None, headers: Mapping[str, str]) -> bool:
    """One call; False when the platform says that it has been done before."""
    try:
        call(url, method=method, body=body, headers=headers)
    except WebError as error:
        if error.status == _CONFLICT and _code(error.body) == "MODEL_ALREADY_LOCKED":
            return False
        detail = _detail(error.body)
        raise InstallFailed(f"{error}{f': {detail}' if detail else ''}") from None
    return True


def _problem(body: bytes) -> Mapping[str, object]:
    try:
        said = json.loads(body)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _code(body: bytes) -> object:
    properties = _problem(body).get("properties")
    return properties.get("errorCode") if isinstance(properties, dict) else None


def _detail(body: bytes) -> str:
    detail = _problem(body).get("detail")
    return detail[:500] if isinstance(detail, str) else ""
