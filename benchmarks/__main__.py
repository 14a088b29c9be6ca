"""One command for all figures: `python -m benchmarks [--quick] [--pairs N] [--case NAME]… [--only TEXT]`."""

import argparse
import importlib
import sys
import tempfile
from pathlib import Path

from benchmarks import report
from benchmarks.measure import Figure, Options

#: Modules of benchmarks.cases, in the order of the report.
CASES = (
    "durable",
    "busy",
    "skewed",
    "tuned",
    "scaling",
    "stealing",
    "dask",
    "command",
    "guarded",
    "scheduling",
    "observed",
    "publishing",
    "deferred",
    "dashboard",
    "status",
    "platform",
    "server",
)


def main(arguments: list[str]) -> int:
    """Measure, print the table and, after a full run, write it to docs/benchmarks.md."""
    options = _parser().parse_args(arguments)
    pairs = options.pairs or (3 if options.quick else 7)
    build = Path("build")
    build.mkdir(exist_ok=True)
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(dir=build, prefix="benchmarks-") as directory:
        how = Options(
            pairs=pairs, quick=options.quick, directory=Path(directory).resolve(), only=options.only
        )
        for case in options.case or CASES:
            for figure in importlib.import_module(f"benchmarks.cases.{case}").measure(how):
                figures.append(figure)
                print(f"{figure.case:8} {figure.median:9.3f} {figure.unit:2}  {figure.what}", file=sys.stderr)
    print(report.table(figures))
    if not options.quick and not options.case and not options.only:
        report.write(figures, report.command_line(arguments))
        print(f"written to {report.PAGE.name}", file=sys.stderr)
    return int(any(figure.reached is False for figure in figures))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=main.__doc__)
    parser.add_argument("--pairs", type=int, help="pairs per figure; default 7, with --quick 3")
    parser.add_argument("--quick", action="store_true", help="fewer items and pairs; writes nothing")
    parser.add_argument("--case", action="append", choices=CASES, help="only this case; may be repeated")
    parser.add_argument("--only", default="", help="of *tuned*: only kinds of work whose names contain this")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
