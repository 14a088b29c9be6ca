"""What `make faults` writes: which long proofs ran, on which commit, with what outcome."""

import datetime
import platform
import subprocess
import sys
from pathlib import Path

import pytest

_HEAD = """# Proofs under faults

Written by `make faults`, which runs the long proofs: hundreds of kills, thousands of seeds. The short
form of each runs with `make test` on every change. What each proves stands in its name and in `tests/`.

- commit: {commit}
- date: {date}
- machine: {machine}
- outcome: {passed} passed, {failed} failed, {skipped} skipped

| proof | outcome | seconds |
|---|---|--:|
"""


class FaultsReport:
    """A pytest plugin that keeps the outcome of every test and writes the page at the end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: list[tuple[str, str, float]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One row per test: its call, or whatever kept it from being called."""
        if report.when == "call" or (report.when == "setup" and not report.passed):
            self._rows.append((report.nodeid, report.outcome, report.duration))

    def pytest_sessionfinish(self) -> None:
        """Write the page."""
        outcomes = [outcome for _, outcome, _ in self._rows]
        head = _HEAD.format(
            commit=_commit(),
            date=datetime.datetime.now(datetime.UTC).date().isoformat(),
            machine=f"{platform.machine()}, {sys.platform}, Python {platform.python_version()}",
            passed=outcomes.count("passed"),
            failed=outcomes.count("failed"),
            skipped=outcomes.count("skipped"),
        )
        rows = [f"| `{name}` | {outcome} | {seconds:.1f} |" for name, outcome, seconds in self._rows]
        self._path.write_text(head + "\n".join(rows) + "\n")


def _commit() -> str:
    """The commit the tests ran on; says so when files had been changed since."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    return described.stdout.strip() or "unknown"
