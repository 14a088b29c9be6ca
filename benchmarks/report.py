"""The table of figures: printed, and kept in docs/benchmarks.md with where it comes from."""

import datetime
import os
import platform
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil

from benchmarks.measure import Figure

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
BEGIN = "<!-- begin: written by make bench -->"
END = "<!-- end: written by make bench -->"


def table(figures: Sequence[Figure]) -> str:
    """A Markdown table with one row per figure."""
    rows = [
        "| case | what | median | min … max | 95 % interval | goal | |",
        "|---|---|--:|--:|--:|--:|---|",
    ]
    rows.extend(_row(figure) for figure in figures)
    return "\n".join(rows)


def _row(figure: Figure) -> str:
    low, high = figure.interval()
    return " | ".join(
        [
            f"| {figure.case}",
            figure.what,
            f"**{_number(figure.median)} {figure.unit}**",
            f"{_number(min(figure.values))} … {_number(max(figure.values))}",
            f"{_number(low)} … {_number(high)}",
            _goal(figure),
            {True: "reached", False: "**missed**", None: "for the record"}[figure.reached] + " |",
        ]
    )


def _goal(figure: Figure) -> str:
    if figure.at_most is not None:
        return f"≤ {figure.at_most:g} {figure.unit}"
    if figure.at_least is not None:
        return f"≥ {figure.at_least:g} {figure.unit}"
    return ""


def _number(value: float) -> str:
    return f"{value:.1f}" if abs(value) >= 20 else f"{value:.3f}"


def origin(command: str) -> str:
    """Commit, date, machine and command: what a figure is worth nothing without."""
    memory = psutil.virtual_memory().total / 2**30
    return "\n".join(
        [
            f"- Commit: {_commit()}",
            f"- Date: {datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC",
            f"- Machine: {os.cpu_count()} cores ({_processor()}), {memory:.0f} GiB",
            f"- System: {platform.system()} {platform.release()}",
            f"- Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}",
            f"- Command: `{command}`",
        ]
    )


def _commit() -> str:
    try:
        commit = _git("rev-parse", "--short=12", "HEAD")
        # this page is what a run changes, so it does not make the tree dirty
        dirty = _git("status", "--porcelain", "--untracked-files=no", "--", "src", "benchmarks")
    except (OSError, subprocess.CalledProcessError):
        return "unknown (not a git checkout)"
    return f"{commit} with uncommitted changes" if dirty else commit


def _git(*arguments: str) -> str:
    run = subprocess.run(["git", *arguments], cwd=PAGE.parent, capture_output=True, text=True, check=True)
    return run.stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown"
    )


def command_line(arguments: Sequence[str]) -> str:
    """How this run was started."""
    return " ".join([Path(sys.executable).name, "-m", "benchmarks", *arguments])


def write(figures: Sequence[Figure], command: str, page: Path = PAGE) -> None:
    """Replace the generated part of the page."""
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(
        f"{before}{BEGIN}\n\n{origin(command)}\n\n{table(figures)}\n\n{END}{after}", encoding="utf-8"
    )
