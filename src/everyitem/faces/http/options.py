"""How the server is set up: `[http]` of the configuration file, `EVERYITEM_HTTP_…`, and the flags."""

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from everyitem.faces.http.receipt import Receipt
from everyitem.faces.http.security.places import is_loopback
from everyitem.settings import Settings
from everyitem.settings.tables import checked, values_of

_PATHS = ("certificate", "key", "audit_log", "spool_folder")
_LISTS = ("hosts", "origins", "proxies")

_Origin = Annotated[str, StringConstraints(pattern=r"^https?://[^/\s]+$")]
_Seconds = Annotated[float, Field(ge=0.1, le=3600)]


class HttpOptions(BaseModel):
    """One server's settings. Names in the file may be written with dashes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8484
    #: Ask for a token on loopback, too.
    require_token: bool = False
    #: Names the server answers to beside its own, and pages that may call it.
    hosts: tuple[str, ...] = ()
    origins: tuple[_Origin, ...] = ()
    #: Addresses of proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
    proxies: tuple[str, ...] = ()
    #: PEM files for TLS.
    certificate: str | None = None
    key: str | None = None
    #: File the audit log is appended to; without one it goes to standard error.
    audit_log: str | None = None
    #: Folder documents are put into while they arrive; default: the system's for temporary files.
    spool_folder: str | None = None
    #: Write a line for every request, not only for those that change something.
    access_log: bool = False
    #: See `receipt.Receipt`.
    head_seconds: _Seconds = 10.0
    body_seconds: _Seconds = 15.0
    stall_seconds: _Seconds = 60.0
    max_connections: Annotated[int, Field(ge=1, le=100_000)] = 2000
    #: Event streams open at the same time.
    max_streams: Annotated[int, Field(ge=0, le=100_000)] = 200
    #: Bytes of a request that is no batch document.
    max_request_bytes: Annotated[int, Field(ge=1024)] = 16 << 20

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key go together")
        return self

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the server."""
        return is_loopback(self.host)

    @property
    def receipt(self) -> Receipt:
        """How patient the server is."""
        return Receipt(
            head_seconds=self.head_seconds,
            body_seconds=self.body_seconds,
            stall_seconds=self.stall_seconds,
            connections=self.max_connections,
        )


def read_options(settings: Settings, **flags: Any) -> HttpOptions:
    """The options in force: flags over environment over file. None means a flag was not given.

    Raises:
        UsageError: naming every setting that cannot be used.
    """
    values = values_of("http", settings.http, file=settings.file, paths=_PATHS, lists=_LISTS)
    given = {name: value for name, value in flags.items() if value is not None}
    return checked("http", HttpOptions, {**values, **given})
