"""Where the Cyoda platform's REST API is, as whom to call it, and what goes back to it: parts of `[cyoda]`.

The member's own settings build on these; whoever publishes events to the platform needs no more.
"""

from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from everyitem.model.errors import UsageError
from everyitem.settings.credentials import Credentials
from everyitem.settings.tables import checked, values_of
from everyitem.settings.values import Settings

#: Settings that name files; relative ones are meant from the configuration file's folder.
PATHS: Final = ("ca", "client_secret_file", "source_folder")

Url = Annotated[str, StringConstraints(pattern=r"^https?://\S+$")]
#: A model of the platform with its version.
Model = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*/[0-9]+$")]
#: A name that becomes a part of a URL's path, or a field of an entity.
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+$")]


class Access(BaseModel):
    """As whom to call the platform: OAuth2 client credentials, or as nobody (mock mode)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    token_url: Url | None = None
    client_id: str | None = None
    client_secret_file: str | None = None

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if self.token_url is not None and not (self.client_id and self.client_secret_file):
            raise ValueError("token-url needs client-id and client-secret-file")
        return self

    def credentials(self) -> Credentials | None:
        """With the secret read from its file; None where no token is wanted.

        Raises:
            UsageError: the file cannot be read.
        """
        if self.token_url is None or self.client_id is None or self.client_secret_file is None:
            return None
        secret = read_file(self.client_secret_file).decode("utf-8", "replace").strip()
        return Credentials(self.token_url, self.client_id, secret)


class RestAccess(Access):
    """The REST API and as whom to call it."""

    #: `https://HOST/api`; without it nothing is asked of the platform but what comes over the streams.
    url: Url | None = None


class Results(BaseModel):
    """`[cyoda.results]`: where the results of single items go, beside the store that has them all."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=lambda name: name.replace("_", "-"),
        populate_by_name=True,
    )

    #: Nowhere else; as entities of a model; as transitions of the items' own entities.
    to: Literal["store", "entities", "transitions"] = "store"
    #: entities: their model.
    model: Model = "BatchItemResult/1"
    #: transitions: of an item that succeeded; of one that failed (None: it is left alone).
    transition: Name | None = None
    failed_transition: Name | None = None
    #: transitions: the field of the item's entity that gets the result.
    field: Name = "batchResult"
    #: transitions: entities that are written at the same time.
    parallel: Annotated[int, Field(ge=1, le=64)] = 8
    #: Seconds the platform may be away while results are written, before the request is refused as retryable.
    patience_seconds: Annotated[float, Field(ge=0, le=86_400)] = 300.0

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.to == "transitions" and not (self.transition or self.failed_transition):
            raise ValueError("to = 'transitions' needs a transition, a failed-transition, or both")
        return self


def cyoda_values(settings: Settings) -> dict[str, Any]:
    """What `[cyoda]` of the file says, and over it the environment; nothing is checked."""
    return values_of("cyoda", settings.cyoda, file=settings.file, paths=PATHS, lists=("endpoints",))


def read_rest_access(settings: Settings) -> RestAccess:
    """Where the REST API is and as whom to call it; the rest of `[cyoda]` is not looked at.

    Raises:
        UsageError: naming every setting that cannot be used.
    """
    values = cyoda_values(settings)
    return checked(
        "cyoda",
        RestAccess,
        {name: value for name, value in values.items() if name in RestAccess.model_fields},
    )


def read_file(path: str) -> bytes:
    """A file some setting names.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from None
