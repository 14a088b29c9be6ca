"""Clusters that everyitem starts for a batch: the operator describes them, a document only names one."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

#: What an address begins with that names a cluster of the configuration.
_PREFIX = "cluster:"

_Count = Annotated[int, msgspec.Meta(ge=1, le=100_000)]


class ClusterSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """One cluster of the table `[clusters]`: either of `workers`, or of `minWorkers` to `maxWorkers`."""

    #: Who starts the workers: this machine, or Dask's own project for it (dask-kubernetes, dask-jobqueue).
    kind: Literal["local", "kubernetes", "slurm"]
    workers: _Count | None = None
    #: The cluster grows and shrinks between these, by the work that waits.
    min_workers: _Count = 1
    max_workers: _Count | None = None
    #: Slices a worker runs at the same time, and the megabytes it may use.
    threads: _Count = 1
    memory_mb: _Count | None = None
    #: Seconds until its first worker must be there.
    start_seconds: Annotated[float, msgspec.Meta(gt=0, le=604_800)] = 120.0
    #: Passed on to the project that starts the workers, by its own names: image, queue, walltime, ...
    options: dict[str, Any] = {}

    @property
    def least(self) -> int:
        """Workers at the start."""
        return self.workers or self.min_workers

    @property
    def most(self) -> int:
        """Workers it may have."""
        return self.workers or self.max_workers or self.min_workers

    @property
    def slots(self) -> int:
        """Slices that all its workers together run at the same time."""
        return self.most * self.threads


def cluster_name(address: str | None) -> str | None:
    """The cluster an address names (`cluster:night`); None for any other address."""
    return address.removeprefix(_PREFIX) if address is not None and address.startswith(_PREFIX) else None


def cluster_problem(address: str | None, clusters: Mapping[str, ClusterSpec]) -> str:
    """What is wrong with an address as the name of one of these clusters; empty where nothing is."""
    name = cluster_name(address)
    if name is None or name in clusters:
        return ""
    known = ", ".join(sorted(clusters)) or "none"
    return f"the configuration has no cluster {name!r} in [clusters]; known: {known}"
