"""Programs of the system that tests need: found, or installed where CI runs."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest


def need(*names: str, packages: tuple[str, ...]) -> str:
    """The path of the first of these programs that is there.

    Where none is, CI installs Debian's packages; a laptop skips the test.
    """
    found = _find(names)
    if found is None and "CI" in os.environ:
        # two workers of one test run would get into each other's way
        with Path(tempfile.gettempdir(), "everyitem-apt.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            found = _find(names) or _install(names, packages)
    if found is None:
        pytest.skip(f"no {names[0]} here (Debian: apt-get install {' '.join(packages)})")
    return found


def _find(names: tuple[str, ...]) -> str | None:
    return next(filter(None, map(shutil.which, names)), None)


def _install(names: tuple[str, ...], packages: tuple[str, ...]) -> str | None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    for command in (["apt-get", "update", "-qq"], install):
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr[-2000:]}")
    return _find(names)
