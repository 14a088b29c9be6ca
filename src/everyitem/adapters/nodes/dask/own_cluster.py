"""A cluster that is started for a node and ends with it: on this machine, on Kubernetes, by SLURM.

Dask's own projects start the workers; what differs between them is in `_START`. A cluster's scheduler, but
for Kubernetes, runs in the node's event loop, so it ends with this process however that ends, and its
workers follow. Only who has the key that is made for it can talk to it.
"""

import asyncio
import contextlib
import inspect
import logging
import signal
import uuid
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from typing import Any, Final, NamedTuple

from distributed import Scheduler, Security, SpecCluster

from everyitem.adapters.nodes.dask.link import NoCluster
from everyitem.adapters.nodes.dask.local_worker import LocalWorker, Workplace
from everyitem.model.clusters import ClusterSpec
from everyitem.model.resources import address_problem
from everyitem.work.failures import in_short

logger = logging.getLogger(__name__)

# Dask's constructors have no types.
_SPEC_CLUSTER: Any = SpecCluster
_SECURITY: Any = Security

#: Seconds the end of a cluster may take.
_END: Final = 10.0
#: How a cluster that changes its size is watched. It shall get through what waits within less than a slice
#: takes: Dask sees only the slices under way, not how many are to come, so each is worth a thread. A worker
#: goes when it was not needed at so many looks in a row.
_ADAPTIVE: Final[Mapping[str, Any]] = {"interval": "1s", "target_duration": "20ms", "wait_count": 15}
#: Seconds after which Kubernetes takes away a cluster nobody uses: its starter may have been killed.
_IDLE: Final = 600

#: What starts a cluster, and the package it comes with.
_PACKAGES: Final[Mapping[str, str]] = {
    "local": "cryptography",
    "kubernetes": "dask_kubernetes",
    "slurm": "dask_jobqueue",
}
_INSTALL: Final[Mapping[str, str]] = {
    "local": '"everyitem[dask]"',
    "kubernetes": "dask-kubernetes",
    "slurm": "dask-jobqueue cryptography",
}


class Contact(NamedTuple):
    """How a scheduler is reached: its address, and Dask's `Security` for it."""

    address: str
    security: Any


def missing_package(spec: ClusterSpec) -> str:
    """What to install before such a cluster can be started; empty where nothing is missing."""
    return "" if find_spec(_PACKAGES[spec.kind]) else f"pip install {_INSTALL[spec.kind]}"


class OwnCluster:
    """Started when it is first asked for; everything runs in the event loop of its node."""

    def __init__(self, name: str, spec: ClusterSpec) -> None:
        self._name, self._spec = name, spec
        self._contact: Contact | None = None
        self._stack = contextlib.AsyncExitStack()

    async def contact(self) -> Contact:
        """Where its scheduler is, started if need be. Raises `NoCluster` saying why there is none."""
        if self._contact is None:
            try:
                async with asyncio.timeout(self._spec.start_seconds):
                    self._contact = await self._start()
            except Exception as error:
                await self.close()
                raise NoCluster(
                    f"the {self._spec.kind} cluster {self._name!r} cannot be started: {in_short(error)}"
                ) from error
        return self._contact

    async def close(self) -> None:
        """End it, its workers included."""
        self._contact = None
        stack, self._stack = self._stack, contextlib.AsyncExitStack()
        try:
            async with asyncio.timeout(_END):
                await stack.aclose()
        except Exception as error:
            logger.warning("the cluster %r did not end cleanly: %s", self._name, in_short(error))

    async def _start(self) -> Contact:
        spec = self._spec
        cluster = _START[spec.kind](spec, self._stack)
        # before it runs: what is given up half started ends as well
        self._stack.push_async_exit(cluster)
        await cluster
        problem = address_problem(cluster.scheduler_address)
        if problem:
            raise ConnectionError(problem)
        if spec.max_workers is None:
            change = cluster.scale(spec.least)
        else:
            # on Kubernetes the operator adapts, at a pace of its own
            pace = {} if spec.kind == "kubernetes" else _ADAPTIVE
            change = cluster.adapt(minimum=spec.least, maximum=spec.most, **pace)
        if inspect.isawaitable(change):
            await change
        return Contact(cluster.scheduler_address, getattr(cluster, "security", None))


def _local(spec: ClusterSpec, stack: contextlib.AsyncExitStack) -> Any:
    """Workers are processes of this machine, which talk over loopback, but encrypted."""
    security = _SECURITY.temporary()
    workplace = stack.enter_context(Workplace(security))
    return _SPEC_CLUSTER(
        asynchronous=True,
        scheduler={
            "cls": Scheduler,
            "options": _scheduler_options(security) | {"host": "127.0.0.1", "port": 0},
        },
        worker={
            "cls": LocalWorker,
            "options": {"workplace": workplace, "threads": spec.threads, "memory_mb": spec.memory_mb},
        },
        workers={},
        security=security,
        silence_logs=logging.ERROR,
        **spec.options,
    )


def _slurm(spec: ClusterSpec, _stack: contextlib.AsyncExitStack) -> Any:
    """A worker is a job; the scheduler runs here, and must be reached from where the jobs run."""
    with _handlers_kept():
        from dask_jobqueue.slurm import SLURMCluster
    security = _SECURITY.temporary()
    options = {
        "cores": spec.threads,
        "processes": 1,
        "memory": f"{spec.memory_mb}MB",
        "security": security,
        "protocol": "tls://",
        "scheduler_options": _scheduler_options(security),
    }
    return SLURMCluster(asynchronous=True, **(options | spec.options))


@contextlib.contextmanager
def _handlers_kept() -> Iterator[None]:
    """For the import of dask-jobqueue, which sets a handler for SIGINT: no thread may, and ours stays."""
    set_handler, signal.signal = signal.signal, lambda *_: None
    try:
        yield
    finally:
        signal.signal = set_handler


def _kubernetes(spec: ClusterSpec, _stack: contextlib.AsyncExitStack) -> Any:
    """Scheduler and workers are pods of Dask's operator; we reach the scheduler by a forwarded port."""
    from dask_kubernetes.operator import KubeCluster

    options: dict[str, Any] = {
        "name": f"everyitem-{uuid.uuid4().hex[:12]}",
        "n_workers": spec.least,
        "worker_command": ["dask-worker", "--nthreads", str(spec.threads)],
        "idle_timeout": _IDLE,
        "quiet": True,
    }
    if spec.memory_mb is not None:
        options["resources"] = {"limits": {"memory": f"{spec.memory_mb}M"}}
    return KubeCluster(asynchronous=True, **(options | spec.options))


def _scheduler_options(security: Any) -> dict[str, Any]:
    # its web server cannot be left out, and asks nobody who he is: no pages, and on this machine only
    web = {"dashboard": False, "dashboard_address": "127.0.0.1:0"}
    return {"protocol": "tls://", "security": security} | web


_START: Final[Mapping[str, Callable[[ClusterSpec, contextlib.AsyncExitStack], Any]]] = {
    "local": _local,
    "kubernetes": _kubernetes,
    "slurm": _slurm,
}
