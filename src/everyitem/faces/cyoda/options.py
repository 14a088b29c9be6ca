"""How the member is set up: `[cyoda]` of the configuration file, `EVERYITEM_CYODA_…`, and the flags."""

from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints, model_validator

from everyitem.model.errors import UsageError
from everyitem.settings import Settings
from everyitem.settings.platform import Access, RestAccess, Results, cyoda_values, read_file
from everyitem.settings.tables import checked

__all__ = ["Access", "CyodaOptions", "read_access", "read_file", "read_options"]

Endpoint = Annotated[str, StringConstraints(pattern=r"^(\[[0-9A-Fa-f:.]+\]|[^\s:/]+):[0-9]{1,5}$")]


class CyodaOptions(RestAccess):
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
    #: Where the results of single items go, beside the store.
    results: Results = Results()
    #: Default item-processor parameters by `processParamId`.
    process_parameters: dict[str, dict[str, Any]] = Field(default_factory=dict)
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
        if self.results.to != "store" and self.url is None:
            raise ValueError(f"results.to = {self.results.to!r} needs url, the platform's REST API (…/api)")
        return self


def read_options(settings: Settings, **flags: Any) -> CyodaOptions:
    """The options in force: flags over environment over file. None means a flag was not given.

    Raises:
        UsageError: naming every setting that cannot be used.
    """
    values = cyoda_values(settings)
    given = {name: value for name, value in flags.items() if value not in (None, (), [])}
    if not (values | given).get("endpoints"):
        raise UsageError("no endpoint of the platform is named: --endpoint HOST:PORT, or cyoda.endpoints")
    if given.get("plaintext") or given.get("tls"):
        # a flag for one of them takes the other back
        values |= {"plaintext": False, "tls": False}
    return checked("cyoda", CyodaOptions, {**values, **given})


def read_access(settings: Settings, **flags: str | None) -> Access:
    """Only as whom to call the platform; the rest of `[cyoda]` is not looked at.

    Raises:
        UsageError: naming every setting that cannot be used.
    """
    values = {name: value for name, value in cyoda_values(settings).items() if name in Access.model_fields}
    return checked(
        "cyoda", Access, values | {name: value for name, value in flags.items() if value is not None}
    )
