"""How the member is set up: `[cyoda]` of the configuration file, `EVERYITEM_CYODA_…`, and the flags."""

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from everyitem.faces.cyoda.frames import Credentials
from everyitem.model.errors import UsageError
from everyitem.settings import Settings
from everyitem.settings.tables import checked, values_of

#: Settings that name files; relative ones are meant from the configuration file's folder.
_PATHS = ("ca", "client_secret_file", "source_folder")

Endpoint = Annotated[str, StringConstraints(pattern=r"^(\[[0-9A-Fa-f:.]+\]|[^\s:/]+):[0-9]{1,5}$")]


class Access(BaseModel):
    """As whom to call the platform: OAuth2 client credentials, or as nobody (mock mode)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    token_url: Annotated[str, StringConstraints(pattern=r"^https?://")] | None = None
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


class CyodaOptions(Access):
    """One member's settings. Names in the file may be written with dashes."""

    #: `HOST:PORT` of each gRPC endpoint: one stream per server node.
    endpoints: Annotated[tuple[Endpoint, ...], Field(min_length=1)]
    #: Neither has a default: whether a token may travel unprotected is not for us to guess.
    plaintext: bool = False
    tls: bool = False
    #: PEM file of the authorities to trust instead of the system's.
    ca: str | None = None
    #: The tag workflows name as `calculationNodesTags`.
    tag: Annotated[str, StringConstraints(pattern=r"^[a-z0-9._-]+$")] = "batch-execution"
    #: Entities executed at the same time, and those that may wait for their turn.
    max_executions: Annotated[int, Field(ge=1, le=1000)] = 4
    max_waiting: Annotated[int, Field(ge=0, le=100_000)] = 100
    #: Folder below which an entity's `itemSource` may name files; without it files are refused.
    source_folder: str | None = None
    #: Default item-processor parameters by `processParamId`.
    process_parameters: dict[str, dict[str, Any]] = {}
    #: Seconds of silence after which a stream counts as dead, however often the platform probes.
    silence_seconds: Annotated[float, Field(ge=0.5, le=3600)] = 45.0
    #: The longest wait before a lost stream is opened again, in seconds.
    reconnect_seconds: Annotated[float, Field(ge=0.1, le=3600)] = 30.0

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.plaintext == self.tls:
            raise ValueError("say either plaintext or tls")
        if self.ca is not None and not self.tls:
            raise ValueError("ca goes with tls only")
        return self


def read_options(settings: Settings, **flags: Any) -> CyodaOptions:
    """The options in force: flags over environment over file. None means a flag was not given.

    Raises:
        UsageError: naming every setting that cannot be used.
    """
    values = _values(settings)
    given = {name: value for name, value in flags.items() if value not in (None, (), [])}
    if given.get("plaintext") or given.get("tls"):
        # a flag for one of them takes the other back
        values |= {"plaintext": False, "tls": False}
    return checked("cyoda", CyodaOptions, {**values, **given})


def read_access(settings: Settings, **flags: str | None) -> Access:
    """Only as whom to call the platform; the rest of `[cyoda]` is not looked at.

    Raises:
        UsageError: naming every setting that cannot be used.
    """
    values = {name: value for name, value in _values(settings).items() if name in Access.model_fields}
    return checked(
        "cyoda", Access, values | {name: value for name, value in flags.items() if value is not None}
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


def _values(settings: Settings) -> dict[str, Any]:
    """What the file says, and over it the environment."""
    return values_of("cyoda", settings.cyoda, file=settings.file, paths=_PATHS, lists=("endpoints",))
