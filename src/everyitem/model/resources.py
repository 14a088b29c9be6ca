"""What a batch may use: nodes and their slots."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from everyitem.model.clusters import ClusterSpec, cluster_name


class NodeKind(StrEnum):
    """Where items run."""

    THREAD = "thread"
    PROCESS = "process"
    ASYNC = "async"
    DASK = "dask"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSpec:
    """One allocated node: `slots` workers of one kind."""

    node_id: str
    kind: NodeKind
    slots: int
    memory_mb: int | None = None
    #: For nodes of kind `dask`: the scheduler, or `cluster:NAME` for one that is started for the batch.
    address: str | None = None


_ADDRESS = re.compile(r"(?P<scheme>tcp|tls)://(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s\[\]:/@]+):[0-9]{1,5}")


def address_problem(address: str | None) -> str:
    """What is wrong with a Dask scheduler's address; empty where nothing is.

    Items and results must not cross a network in the clear, and whoever can talk to a scheduler can run
    code on its workers: so it is `tls://`, except on this machine.
    """
    if address is None:
        return "a dask node needs the scheduler's address, such as tls://scheduler.example:8786"
    if cluster_name(address):
        return ""
    found = _ADDRESS.fullmatch(address)
    if found is None:
        return f"{address!r} is no scheduler's address; write tls://HOST:PORT, or tcp://127.0.0.1:PORT"
    if found["scheme"] == "tcp" and not _is_loopback(found["host"].strip("[]")):
        return (
            f"{address!r} leaves this machine unencrypted; use tls:// (docs/dask.md says how to set "
            "certificates), or an SSH tunnel to 127.0.0.1"
        )
    return ""


def _is_loopback(host: str) -> bool:
    import ipaddress  # not at the top: only Dask nodes have an address

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocatedResources:
    """The nodes of a batch and the bounds of its parallelism (contract section 1).

    `nodes` is never empty once a batch was read: without nodes in the document one node of the
    processor's natural kind is made.
    """

    nodes: tuple[NodeSpec, ...]
    min_parallelism: int = 1
    #: The operator's clusters, which nodes may name.
    clusters: Mapping[str, ClusterSpec] = field(default_factory=dict)

    @property
    def slots(self) -> int:
        """Slots over all nodes: the most items that may run at the same time."""
        return sum(node.slots for node in self.nodes)


def spread(parallelism: int, nodes: tuple[NodeSpec, ...]) -> dict[str, int]:
    """How many slots each node uses at this parallelism: filled evenly, node order breaking ties.

    Never more than a node has; the sum is min(parallelism, all slots).
    """
    return spread_over(parallelism, {node.node_id: node.slots for node in nodes})


def spread_over(parallelism: int, slots: Mapping[str, int]) -> dict[str, int]:
    """As `spread`, for nodes given by their id and number of slots."""
    left = sum(slots.values())
    if parallelism >= left:
        return dict(slots)
    used, left = dict.fromkeys(slots, 0), parallelism
    while left:
        for node_id, most in slots.items():
            if left and used[node_id] < most:
                used[node_id] += 1
                left -= 1
    return used
