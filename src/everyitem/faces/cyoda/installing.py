"""Set-up of a platform: the models and the workflow of batches, imported through its HTTP interface."""

import json
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Final

from everyitem import compose
from everyitem.model.errors import EveryitemError
from everyitem.ports.bearer import TokenRefused
from everyitem.ports.web import WebError
from everyitem.settings.credentials import Credentials

MODEL: Final = "ProcessingBatch"
#: Of the models, not of everyitem: a locked model never changes, its next version is another model.
VERSION: Final = 1
#: Models of what is written back, by the file of their sample and the field that names each entity for good.
WRITTEN_BACK: Final = {
    "BatchItemResult": ("result-model.json", "resultKey"),
    "BatchEvent": ("event-model.json", "eventId"),
}

_CONFLICT: Final = 409
#: A server that keeps no unique keys: it has no such call, or a store that cannot.
_NO_KEYS: Final = (404, 422, 501)


class InstallFailed(EveryitemError):
    """The platform did not take a step; says which, and what it answered."""


def model_sample() -> bytes:
    """An entity with every field in and out, from which the platform infers the model."""
    return files(__package__).joinpath("setup", "model.json").read_bytes()


def sample(name: str) -> bytes:
    """An entity of a model in `WRITTEN_BACK`, from which the platform infers it."""
    return files(__package__).joinpath("setup", WRITTEN_BACK[name][0]).read_bytes()


def workflow() -> bytes:
    """The workflow from `created` to `completed`, as the platform imports it."""
    return files(__package__).joinpath("setup", "workflow.json").read_bytes()


def install(url: str, credentials: Credentials | None, *, say: Callable[[str], None]) -> None:
    """Import models and workflow into the platform at `url` (`http://HOST:PORT/api`), saying what was done.

    May be repeated: a model that is there is left as it is, the workflow is replaced.

    Raises:
        InstallFailed: the platform cannot be reached or refuses a step.
    """
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if credentials is not None:
        try:
            headers["Authorization"] = f"Bearer {compose.client_tokens(credentials).current()}"
        except TokenRefused as refused:
            raise InstallFailed(str(refused)) from None
    installation = _Installation(url.rstrip("/"), headers, say)
    installation.batches()
    for name, (_, key) in WRITTEN_BACK.items():
        installation.written_back(name, key)


class _Installation:
    """The steps, one call each."""

    def __init__(self, base: str, headers: Mapping[str, str], say: Callable[[str], None]) -> None:
        self._base, self._headers, self._say = base, headers, say

    def batches(self) -> None:
        """The model of batches, which may grow, and its workflow."""
        named = f"{MODEL}/{VERSION}"
        if self._import(named, model_sample()):
            self._step("POST", f"model/{named}/changeLevel/STRUCTURAL")
            self._say(
                f"model {named}: change level STRUCTURAL, so that entities may have fields of their own"
            )
            self._lock(named)
        self._step("POST", f"model/{named}/workflow/import", workflow())
        self._say("workflow BatchProcessingWorkflow: imported in place of any other of this model")

    def written_back(self, name: str, key: str) -> None:
        """A model of what everyitem writes, with a unique key: what comes twice is kept once."""
        named = f"{name}/{VERSION}"
        if not self._import(named, sample(name)):
            return
        keys = {"uniqueKeys": [{"id": f"by-{key}", "fields": [f"$.{key}"]}]}
        try:
            self._step("PUT", f"model/{named}/unique-keys", json.dumps(keys).encode())
        except _Refused as refused:
            if refused.status not in _NO_KEYS:
                raise
            self._say(f"model {named}: without a unique key on $.{key}, this platform keeps none")
        else:
            self._say(f"model {named}: unique key on $.{key}")
        # texts may look like dates, which some servers take for another type
        self._step("POST", f"model/{named}/changeLevel/STRUCTURAL")
        self._lock(named)

    def _import(self, named: str, content: bytes) -> bool:
        """Whether it was not there yet."""
        try:
            self._step("POST", f"model/import/JSON/SAMPLE_DATA/{named}", content)
        except _Refused as refused:
            if refused.status == _CONFLICT and refused.why == "MODEL_ALREADY_LOCKED":
                self._say(f"model {named}: there already and locked; left as it is")
                return False
            raise
        self._say(f"model {named}: imported")
        return True

    def _lock(self, named: str) -> None:
        self._step("PUT", f"model/{named}/lock")
        self._say(f"model {named}: locked")

    def _step(self, method: str, path: str, body: bytes | None = None) -> None:
        try:
            compose.call_web(f"{self._base}/{path}", method=method, body=body, headers=self._headers)
        except WebError as error:
            raise _Refused(error) from None


class _Refused(InstallFailed):
    """One step; `why` is the platform's own name for the reason."""

    def __init__(self, error: WebError) -> None:
        detail = _detail(error.body)
        super().__init__(f"{error}{f': {detail}' if detail else ''}")
        self.status, self.why = error.status, _code(error.body)


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
