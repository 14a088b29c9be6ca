"""Dask clusters of our own: a scheduler and workers in processes, to be killed and stopped at will.

They listen on loopback, and the workers do not see the tests' folder: item processors reach them as they
would reach another machine.
"""

import atexit
import contextlib
import functools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.services.ports import free_port

#: Seconds anything may take to start or to end; only a broken machine needs them.
PATIENCE = 120.0


class DaskCluster:
    """A scheduler and some workers. `close` ends them all."""

    def __init__(
        self,
        workers: int,
        *,
        threads: int = 1,
        nanny: bool = False,
        options: Sequence[str] = (),
        host: str = "127.0.0.1",
        tls: Mapping[str, str] | None = None,
    ) -> None:
        """`host` is the scheduler's; with `tls` (Dask's variables) nothing is sent in the clear."""
        self._host, self._tls = host, tls
        self.folder = Path(tempfile.mkdtemp(prefix="everyitem-dask-"))
        #: Where item processors of the contract leave notes.
        self.notes = self.folder / "notes"
        self._threads, self._nanny, self._options = threads, nanny, options
        self.port = free_port()
        self.workers: list[subprocess.Popen[bytes]] = []
        self._log = (self.folder / "log").open("ab")
        try:
            self.start_scheduler()
            for _ in range(workers):
                self.start_worker()
            self.await_workers(workers)
        except BaseException:
            self.close()
            raise

    @property
    def address(self) -> str:
        """The scheduler's address."""
        return f"{'tls' if self._tls else 'tcp'}://{self._host}:{self.port}"

    @property
    def log(self) -> str:
        """What scheduler and workers have printed."""
        return (self.folder / "log").read_text(errors="replace")

    def start_scheduler(self) -> None:
        """Start the scheduler; again where it was before."""
        known = self.folder / "scheduler.json"
        known.unlink(missing_ok=True)
        self.scheduler = self._start(
            *("scheduler", "--host", self._contact, "--port", str(self.port)),
            *("--no-dashboard", "--scheduler-file", str(known)),
        )
        deadline = time.monotonic() + PATIENCE
        while not known.exists():
            assert self.scheduler.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.02)

    @property
    def _contact(self) -> str:
        return f"{'tls' if self._tls else 'tcp'}://{self._host}"

    def start_worker(self, *options: str, within: str = "", host: str = "") -> subprocess.Popen[bytes]:
        """One more worker, in a session of its own; `within` a network namespace, where it is `host`."""
        worker = self._start(
            *("worker", self.address, "--host", host or self._host, "--no-dashboard"),
            *("--nthreads", str(self._threads)),
            *("--local-directory", str(self.folder), "--memory-limit", "0"),
            *(("--nanny",) if self._nanny else ("--no-nanny",)),
            *self._options,
            *options,
            within=within,
        )
        self.workers.append(worker)
        return worker

    def _start(self, *arguments: str, within: str = "") -> subprocess.Popen[bytes]:
        environment = dict(os.environ) | {
            "EVERYITEM_TEST_NOTES": str(self.notes),
            "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
        }
        environment |= self._tls or {}
        place = ["ip", "netns", "exec", within] if within else []
        return subprocess.Popen(
            [*place, sys.executable, "-m", "dask", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            env=environment,
            start_new_session=True,
        )

    def await_workers(self, count: int) -> None:
        """Wait until so many workers are there."""
        deadline = time.monotonic() + PATIENCE
        while len(self.addresses()) != count:
            assert time.monotonic() < deadline, self.log
            time.sleep(0.05)

    def addresses(self) -> list[str]:
        """The workers the scheduler knows."""
        from distributed import Client

        with Client(self.address, set_as_default=False, timeout=PATIENCE) as client:
            return list(client.nthreads())

    def worker_pids(self) -> list[int]:
        """The processes of the workers, not of their nannies."""
        from distributed import Client

        with Client(self.address, set_as_default=False, timeout=PATIENCE) as client:
            return list(client.run(os.getpid).values())

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """End a process, and a nanny's worker with it, at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def close(self) -> None:
        """End everything."""
        for process in (*self.workers, self.scheduler):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGCONT)
            self.kill(process)
        self._log.close()
        shutil.rmtree(self.folder, ignore_errors=True)


@functools.cache
def shared_cluster() -> DaskCluster:
    """A worker of two threads for all tests of this process that do it no harm."""
    cluster = DaskCluster(1, threads=2)
    atexit.register(cluster.close)
    return cluster
