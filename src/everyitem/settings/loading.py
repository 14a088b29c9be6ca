"""Reading the configuration file and the environment into `Settings`.

Command line and API win over the environment, the environment over the file, the file over the defaults.
Imported only where one of them says something: pydantic-settings costs a sixth of a second.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainValidator, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from everyitem.failpoints import VARIABLE as FAILPOINT_VARIABLE
from everyitem.model.clusters import ClusterSpec
from everyitem.model.errors import Problem, UsageError
from everyitem.settings.alerting import AlertSettings, read_alert_settings
from everyitem.settings.clusters import read_clusters
from everyitem.settings.origin import Origin
from everyitem.settings.publishing import PublishingSettings, read_publishing_settings
from everyitem.settings.unusable import of_setting
from everyitem.settings.values import (
    DEFAULT_FILE,
    DEVELOPMENT_PRESET,
    ENVIRONMENT_PREFIX,
    Environment,
    LogFormat,
    Settings,
)

_SQLITE = "sqlite:///"
#: Set by everyitem itself in its worker processes, and by its crash tests; no settings.
_OWN_VARIABLES = frozenset(
    ("EVERYITEM_WORKER", "EVERYITEM_SUPERVISED", "EVERYITEM_TEST_LEASE", FAILPOINT_VARIABLE)
)
#: What the HTTP server and its clients read and nobody shall find in a settings object.
_ACCESS_VARIABLES = frozenset(("EVERYITEM_API_TOKEN",))
#: Secrets that parameters refer to, and settings of faces that read and check them themselves.
_READ_ELSEWHERE = ("EVERYITEM_CYODA_", "EVERYITEM_HTTP_", "EVERYITEM_SECRET_")


def _split_list(value: object) -> object:
    """`EVERYITEM_PROCESSORS=a.py,b.py`: the environment has no lists, so commas part the entries."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


class _Model(BaseSettings):
    """Types and bounds of every setting; the values themselves live on in `Settings`."""

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX, extra="ignore", allow_inf_nan=False)

    environment: Environment = Environment.PRODUCTION
    max_batch_size: int = Field(100_000, ge=1, le=1_000_000_000)
    default_parallelism: int = Field(5, ge=1, le=100_000)
    checkpoint_interval: int = Field(1000, ge=1, le=1_000_000_000)
    checkpoint_interval_seconds: float = Field(30.0, gt=0, le=86_400)
    max_retry_attempts: int = Field(3, ge=0, le=10_000)
    timeout_hours: float = Field(4.0, gt=0, le=87_600)
    enable_checkpointing: bool = True
    in_doubt_limit: int = Field(100, ge=1, le=100_000)
    drain_seconds: float = Field(30.0, ge=0, le=86_400)
    store_patience_seconds: float = Field(300.0, ge=0, le=604_800)
    outage_patience_seconds: float | None = Field(None, gt=0, le=604_800)
    worker_start_seconds: float = Field(300.0, gt=0, le=604_800)
    retention_days: float = Field(30.0, ge=0, le=36_500)
    granted_slots: int | None = Field(None, ge=1, le=100_000)
    max_memory_mb: int = Field(16_384, ge=1)
    max_source_items: int | None = Field(None, ge=1)
    max_document_bytes: int = Field(1 << 30, ge=1024)
    max_item_bytes: int = Field(16 << 20, ge=64)
    max_envelope_bytes: int = Field(4 << 20, ge=1024)
    max_depth: int = Field(100, ge=2, le=200)
    max_running_batches: int = Field(4, ge=1, le=10_000)
    max_queued_batches: int = Field(1000, ge=1, le=1_000_000)
    service_cores: float | None = Field(None, gt=0, le=100_000)
    service_memory_mb: int | None = Field(None, ge=1)
    store: str | None = Field(None, min_length=1)
    processors: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_list)] = ()
    log_format: LogFormat = LogFormat.TEXT
    metrics_port: int | None = Field(None, ge=0, le=65_535)
    metrics_host: str = Field("127.0.0.1", min_length=1)
    traces_endpoint: str | None = Field(None, pattern=r"^https?://\S+$")
    trace_items: float = Field(0.0, ge=0, le=1)
    alerts: Annotated[AlertSettings, PlainValidator(read_alert_settings)] = AlertSettings()
    events: Annotated[PublishingSettings, PlainValidator(read_publishing_settings)] = PublishingSettings()
    secrets_directory: str | None = Field(None, min_length=1)
    cyoda: dict[str, Any] = {}
    http: dict[str, Any] = {}
    sources: dict[str, Any] = {}
    clusters: Annotated[dict[str, ClusterSpec], NoDecode, PlainValidator(read_clusters)] = {}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what `load` hands in: it asks each source itself, to know where a value came from."""
        return (init_settings,)


def load(config: str | None = None, overrides: Mapping[str, object] | None = None) -> Settings:
    """The settings in force.

    `config` names the file; without it `everyitem.toml` of the working directory is read where there is
    one. Raises `UsageError` when the named file is missing, the file is not TOML, or values are unusable
    (all of them named).
    """
    file = _read_file(config)
    layers = (
        (Origin.FILE, file.values),
        (Origin.ENVIRONMENT, EnvSettingsSource(_Model)()),
        (Origin.CLI, dict(overrides or {})),
    )
    values: dict[str, Any] = {}
    origins: dict[str, Origin] = {}
    for origin, layer in layers:
        values.update(layer)
        origins.update(dict.fromkeys(layer, origin))
    if values.get("environment") == Environment.DEVELOPMENT:
        for name, value in DEVELOPMENT_PRESET.items():
            if name not in values:
                values[name], origins[name] = value, origins["environment"]
    try:
        model = _Model(**values)
    except ValidationError as refused:
        raise UsageError(_explain(refused, origins, file)) from None
    warnings = (*file.warnings, *_unknown_variables())
    return Settings(**model.model_dump(), file=file.path, origins=origins, warnings=warnings)


@dataclass(frozen=True, slots=True)
class _File:
    """What a configuration file says; without a path there was none."""

    path: str | None = None
    #: Values by snake_case name, and how each name is written in the file.
    values: dict[str, Any] = field(default_factory=dict)
    written: dict[str, str] = field(default_factory=dict)
    #: About keys nobody knows.
    warnings: tuple[Problem, ...] = ()


def _read_file(config: str | None) -> _File:
    path = Path(config or DEFAULT_FILE)
    try:
        content = tomllib.loads(path.read_bytes().decode("utf-8"))
    except FileNotFoundError:
        if config is None:
            return _File()
        raise UsageError(f"configuration file {config}: no such file") from None
    except OSError as error:
        raise UsageError(f"configuration file {path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"configuration file {path}: not valid TOML: {error}") from None
    values: dict[str, Any] = {}
    written: dict[str, str] = {}
    warnings: list[Problem] = []
    for key, value in content.items():
        name = _snake(key)
        if name in _Model.model_fields:
            values[name], written[name] = value, key
        else:
            hint = _suggest(name, to_camel if key != name and "_" not in key else str)
            warnings.append(Problem(f"{path}", f"unknown setting {key!r} is ignored{hint}"))
    _anchor_paths(values, path.parent)
    return _File(str(path), values, written, tuple(warnings))


def _unknown_variables() -> Iterator[Problem]:
    """Variables that look like settings and are none: a typo there is as easily made as in the file."""
    for variable in sorted(os.environ):
        name = variable.upper()
        if not name.startswith(ENVIRONMENT_PREFIX) or name in _OWN_VARIABLES | _ACCESS_VARIABLES:
            continue
        if name.startswith(_READ_ELSEWHERE):
            continue
        setting = name.removeprefix(ENVIRONMENT_PREFIX).lower()
        if setting not in _Model.model_fields:
            hint = _suggest(setting, _variable_of)
            yield Problem("environment", f"unknown variable {variable!r} is ignored{hint}")


def _variable_of(name: str) -> str:
    return ENVIRONMENT_PREFIX + name.upper()


def _snake(name: str) -> str:
    """`maxBatchSize` and `max-batch-size` mean `max_batch_size`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).replace("-", "_").lower()


def _suggest(name: str, spell: Callable[[str], str]) -> str:
    """The nearest setting, spelt the way the user spells."""
    near = difflib.get_close_matches(name, _Model.model_fields, n=1, cutoff=0.7)
    return f"; did you mean {spell(near[0])!r}?" if near else ""


def _anchor_paths(values: dict[str, Any], folder: Path) -> None:
    """Relative paths in the file are meant from the file's folder, wherever everyitem is started."""
    processors = _split_list(values.get("processors"))
    if isinstance(processors, list | tuple):
        values["processors"] = [_anchored(one, folder) for one in processors]
    if isinstance(secrets := values.get("secrets_directory"), str):
        values["secrets_directory"] = os.fspath(folder / Path(secrets).expanduser())
    store = values.get("store")
    if isinstance(store, str) and (path := store.removeprefix(_SQLITE)) and "://" not in path:
        values["store"] = store if path == ":memory:" else f"{_SQLITE}{folder / Path(path).expanduser()}"


def _anchored(processors: object, folder: Path) -> object:
    """A FILE.py; the name of a module stays one."""
    if not (isinstance(processors, str) and processors.endswith(".py")):
        return processors
    return os.fspath(folder / Path(processors).expanduser())


def _explain(refused: ValidationError, origins: Mapping[str, Origin], file: _File) -> str:
    """One line per unusable value: where it was set, its name, what is wrong."""
    lines = []
    for error in refused.errors(include_url=False):
        name = str(error["loc"][0])
        match origins.get(name):
            case Origin.ENVIRONMENT:
                where = f"environment variable {_variable_of(name)}"
            case Origin.FILE:
                where = f"{file.path}: {file.written.get(name, name)}"
            case _:
                where = name
        lines.append(f"{where}: {of_setting(error)}")
    return "; ".join(lines)
