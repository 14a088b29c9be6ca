"""Dask workers on this machine, each with a nanny of Dask's in a process of its own."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from distributed.deploy.spec import ProcessInterface

logger = logging.getLogger(__name__)

# Dask's classes have no types.
_PROCESS: Any = ProcessInterface

#: Seconds a worker looks for its scheduler, and has for its end, before it is killed.
_DEATH: Final = 30
_END: Final = 3.0


class Workplace:
    """A private folder for what local workers need and leave: keys, scratch space, what they print."""

    def __init__(self, security: Any) -> None:
        self._keys = security.get_tls_config_for_role("worker")
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="everyitem-dask-", ignore_cleanup_errors=True)
        self.path = Path(self._folder.name)
        for name in ("ca_file", "cert", "key"):
            (self.path / name).write_text(self._keys[name])
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def options(self) -> list[str]:
        """Of the command that starts a worker."""
        places = {
            "--tls-ca-file": self.path / "ca_file",
            "--tls-cert": self.path / "cert",
            "--tls-key": self.path / "key",
            "--local-directory": self.path,
        }
        return [part for option, place in places.items() for part in (option, os.fspath(place))]


class LocalWorker(_PROCESS):  # type: ignore[misc]
    """One worker, started and ended by Dask's `SpecCluster`."""

    def __init__(
        self,
        scheduler: str,
        name: object = None,
        *,
        workplace: Workplace,
        threads: int,
        memory_mb: int | None,
    ) -> None:
        super().__init__(scheduler=scheduler, name=name)
        self.scheduler, self.name = scheduler, name
        self._workplace = workplace
        self._options = [
            *("--nthreads", str(threads)),
            *("--memory-limit", "0" if memory_mb is None else f"{memory_mb}MB"),
            *("--name", str(name)),
        ]
        self._process: asyncio.subprocess.Process | None = None
        self._watcher: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start its process; whether it finds its scheduler shows there."""
        log = self._workplace.path / f"worker-{self.name}.log"
        with log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "dask", "worker", self.scheduler),
                *("--host", "127.0.0.1", "--no-dashboard", "--death-timeout", str(_DEATH)),
                *self._options,
                *self._workplace.options(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._watcher = asyncio.create_task(self._watch(self._process, log))
        await super().start()

    async def close(self) -> None:
        """End it: first as a request, so that its item processors can run `teardown`."""
        if self._watcher is not None:
            self._watcher.cancel()
        process = self._process
        if process is not None and process.returncode is None:
            _signal(process, signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), _END)
            except TimeoutError:
                _signal(process, signal.SIGKILL)
                await process.wait()
        await super().close()

    async def _watch(self, process: asyncio.subprocess.Process, log: Path) -> None:
        code = await process.wait()
        logger.warning("local Dask worker %s has ended (exit code %s): %s", self.name, code, _last_line(log))


def _signal(process: asyncio.subprocess.Process, number: int) -> None:
    # the whole session: nannies may be killed before they end their worker
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _last_line(log: Path) -> str:
    with contextlib.suppress(OSError):
        lines = log.read_text(errors="replace").splitlines()
        return next(filter(None, reversed(lines)), "it printed nothing")
    return "what it printed cannot be read"
