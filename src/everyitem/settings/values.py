"""The settings with the specification's defaults (section 9) and our own limits."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from everyitem.model.clusters import ClusterSpec
from everyitem.model.errors import Problem
from everyitem.settings.alerting import AlertSettings
from everyitem.settings.origin import Origin
from everyitem.settings.publishing import PublishingSettings


class Environment(StrEnum):
    """A preset: development means smaller batches and less parallelism."""

    PRODUCTION = "production"
    DEVELOPMENT = "development"


class LogFormat(StrEnum):
    """How log records are written."""

    TEXT = "text"
    JSON = "json"


#: The configuration file that is read where it stands in the working directory and none is named.
DEFAULT_FILE = "everyitem.toml"
#: What names of environment variables begin with; the setting's name in capitals follows.
ENVIRONMENT_PREFIX = "EVERYITEM_"

#: What `environment = "development"` changes; each value can still be set by itself.
DEVELOPMENT_PRESET: Mapping[str, int] = {"max_batch_size": 1000, "default_parallelism": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What holds for every batch of this process, before a document is read. Frozen once loaded."""

    environment: Environment = Environment.PRODUCTION
    #: Ceiling: the most items one batch may have.
    max_batch_size: int = 100_000
    #: How many items run at once at the start, where the document does not say.
    default_parallelism: int = 5
    #: Outcomes between two checkpoints.
    checkpoint_interval: int = 1000
    #: Seconds after which a checkpoint is cut however few outcomes there are.
    checkpoint_interval_seconds: float = 30.0
    #: Retries per item after the first attempt.
    max_retry_attempts: int = 3
    #: Batch timeout in hours of active time; a ceiling where the operator set it.
    timeout_hours: float = 4.0
    enable_checkpointing: bool = True
    #: At-most-once: how many items may be in doubt after a crash.
    in_doubt_limit: int = 100
    #: Seconds a stop waits for items in flight before it interrupts them.
    drain_seconds: float = 30.0
    #: Seconds a run waits for a store that is out of reach before it ends.
    store_patience_seconds: float = 300.0
    #: Seconds an outage of what items depend on is waited for; None: until the batch timeout.
    outage_patience_seconds: float | None = None
    #: Seconds a worker process may take to import the item processor and to run its `setup`.
    worker_start_seconds: float = 300.0
    #: Days after its end for which items, outcomes and events of a finished execution are kept; 0: always.
    retention_days: float = 30.0
    #: Ceiling: items of one execution at once; a service changes it while it runs. None: the slots allocated.
    granted_slots: int | None = None
    #: Ceiling: coordinator and workers of one execution together, in MB.
    max_memory_mb: int = 16_384
    #: Ceiling for items of a source; None means `max_batch_size`.
    max_source_items: int | None = None
    #: Ceiling: bytes of one batch document, of one item, and of the document without its items.
    max_document_bytes: int = 1 << 30
    max_item_bytes: int = 16 << 20
    max_envelope_bytes: int = 4 << 20
    #: Ceiling: levels of nesting in one item or in the document without its items.
    max_depth: int = 100
    #: Service: batches carried out at once, and those that may wait.
    max_running_batches: int = 4
    max_queued_batches: int = 1000
    #: Service: cores and memory (MB) it shares out; None means what this machine grants.
    service_cores: float | None = None
    service_memory_mb: int | None = None
    #: Store URL; None means SQLite in the user's data directory.
    store: str | None = None
    #: Files or modules that register item processors.
    processors: tuple[str, ...] = ()
    #: What standard error gets from commands that execute: `text` for people or `json` for collectors.
    log_format: LogFormat = LogFormat.TEXT
    #: Where metrics are served while something is executed; None: nowhere.
    metrics_port: int | None = None
    metrics_host: str = "127.0.0.1"
    #: Where spans are sent (OTLP over HTTP); None: nowhere. Share of the items that get spans of their own.
    traces_endpoint: str | None = None
    trace_items: float = 0.0
    #: The table `[alerts]`: whom to tell, how often, and from when on.
    alerts: AlertSettings = field(default_factory=AlertSettings)
    #: The table `[events]`: where events go.
    events: PublishingSettings = field(default_factory=PublishingSettings)
    #: Folder with a file for each secret that parameters may refer to; environment variables otherwise.
    secrets_directory: str | None = None
    #: The table `[cyoda]` as it stands in the file; the member checks and completes it.
    cyoda: Mapping[str, Any] = field(default_factory=dict)
    #: The table `[http]`; the HTTP server checks and completes it.
    http: Mapping[str, Any] = field(default_factory=dict)
    #: The table `[sources]` as it stands in the file: what item sources may use.
    sources: Mapping[str, Any] = field(default_factory=dict)
    #: The table `[clusters]`: clusters a batch may have started for it, by name.
    clusters: Mapping[str, ClusterSpec] = field(default_factory=dict)
    #: Path of the configuration file that was read, None without one.
    file: str | None = None
    #: Who decided each value that is not a default.
    origins: Mapping[str, Origin] = field(default_factory=dict)
    #: Things worth saying: unknown keys in the file, most of all.
    warnings: tuple[Problem, ...] = ()

    def origin(self, name: str) -> Origin:
        """Where the value of a setting (snake_case) came from."""
        return self.origins.get(name, Origin.DEFAULT)
