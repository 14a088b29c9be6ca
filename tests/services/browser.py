"""Chromium for tests of pages."""

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, expect, sync_playwright

from tests.services.debian import need

# only what is broken needs it
expect.set_options(timeout=60_000)

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


@contextmanager
def browsing() -> Iterator[Browser]:
    """A browser for a while."""
    path = need(*_NAMES, packages=("chromium", "fonts-dejavu-core"))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()
