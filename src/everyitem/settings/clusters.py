"""The table `[clusters]` of the configuration file: clusters a batch may have started for it."""

from collections.abc import Mapping
from typing import Any

import msgspec

from everyitem.model.clusters import ClusterSpec
from everyitem.settings.alerting import read_table


def read_clusters(table: Mapping[str, Any] | str) -> dict[str, ClusterSpec]:
    """The table (from the environment: as JSON) as clusters by name.

    Raises `ValueError` saying what is wrong.
    """
    try:
        tables = msgspec.json.decode(table) if isinstance(table, str) else table
    except msgspec.DecodeError as error:
        raise ValueError(f"not valid JSON: {error}") from None
    if not isinstance(tables, Mapping):
        raise ValueError("must be a table with a table for each cluster")  # noqa: TRY004 - pydantic shows it
    return {name: _read(name, one) for name, one in tables.items()}


def _read(name: str, table: Any) -> ClusterSpec:
    if isinstance(table, ClusterSpec):
        return table
    if not isinstance(table, Mapping):
        raise ValueError(f"{name}: must be a table")  # noqa: TRY004 - pydantic shows it
    # options are another project's names, and stay as they are
    options = table.get("options", {})
    if not isinstance(options, Mapping):
        raise ValueError(f"{name}: `options` must be a table")  # noqa: TRY004
    try:
        cluster = read_table({key: value for key, value in table.items() if key != "options"}, ClusterSpec)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    if cluster.workers is None and cluster.max_workers is None:
        raise ValueError(f"{name}: say how many `workers`, or `maxWorkers` for one that grows and shrinks")
    if cluster.workers is not None and (cluster.max_workers is not None or cluster.min_workers != 1):
        raise ValueError(f"{name}: either `workers`, or `minWorkers` and `maxWorkers`")
    if cluster.min_workers > cluster.most:
        raise ValueError(f"{name}: `minWorkers` must not be above `maxWorkers`")
    if cluster.kind == "slurm" and cluster.memory_mb is None:
        raise ValueError(f"{name}: SLURM reserves memory for each worker; say how much (`memoryMb`)")
    return msgspec.structs.replace(cluster, options=dict(options))
