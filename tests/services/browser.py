"""Chromium for tests of pages: found, or installed where CI runs."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

# only what is broken needs it
expect.set_options(timeout=30_000)

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


def find_chromium() -> str:
    """Its path. Skips where there is none, but for CI, which installs Debian's."""
    found = _find()
    if found is None and "CI" in os.environ:
        # two workers of one test run would get into each other's way
        with Path(tempfile.gettempdir(), "everyitem-chromium.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            found = _find() or _install()
    if found is None:
        pytest.skip("no Chromium here; install it (Debian: apt-get install chromium) to test the pages")
    return found


def _find() -> str | None:
    return next(filter(None, map(shutil.which, _NAMES)), None)


def _install() -> str | None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium", "fonts-dejavu-core"]
    for command in (["apt-get", "update", "-qq"], install):
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr[-2000:]}")
    return _find()


@contextmanager
def browsing() -> Iterator[Browser]:
    """A browser for a while."""
    path = find_chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()
