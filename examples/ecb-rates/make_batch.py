"""Builds the example's batch documents from the European Central Bank's reference rates.

    python make_batch.py latest     100,000 fixings, a look-up of 2 ms each, ten threads: about 20 seconds
    python make_batch.py all        all 292,166 fixings, no look-up, two processes

An item is one fixing (one currency on one day) together with the fixing before it. Rates stay the strings
the bank published, every digit kept; where the bank gave no rate, `N/A` stays `N/A`: what to make of it is
the item processor's decision, not this script's.
"""

import csv
import io
import json
import sys
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
DATA = HERE / "eurofxref-hist.zip"

#: Items of the document `latest`.
LATEST = 100_000

Fixing = dict[str, str | None]


def read_fixings(path: Path = DATA) -> Iterator[Fixing]:
    """Every fixing of the file, oldest day first, each with its predecessor (None on the first day)."""
    with zipfile.ZipFile(path) as archive, archive.open("eurofxref-hist.csv") as file:
        header, *days = csv.reader(io.TextIOWrapper(file, encoding="utf-8"))
    # each line ends with a comma, so the last column is empty and nameless
    currencies = [name.strip() for name in header[1:] if name.strip()]
    previous_date: str | None = None
    previous_rates: list[str | None] = [None] * len(currencies)
    for date, *rates in reversed(days):
        for currency, rate, previous_rate in zip(currencies, rates, previous_rates, strict=False):
            yield {
                "itemId": f"{currency}-{date}",
                "currency": currency,
                "date": date,
                "rate": rate,
                "previousDate": previous_date,
                "previousRate": previous_rate,
            }
        previous_date, previous_rates = date, list(rates)


def document(name: str, fixings: Iterable[Fixing]) -> dict[str, Any]:
    """The batch document called `name`: `latest` or `all`."""
    items = list(fixings)
    if name == "latest":
        items = items[-LATEST:]
    last_day = items[-1]["date"]
    waits_for_look_up = name == "latest"
    return {
        "batchId": f"ecb-rates-{name}-{last_day}",
        "batchItems": items,
        "processingConfiguration": {
            "processor": "ecb-fixing",
            "parameters": {"lookupMs": 2 if waits_for_look_up else 0, "outlierPercent": "3"},
        },
        "allocatedResources": {
            "nodes": [{"nodeId": "threads", "kind": "thread", "slots": 10}]
            if waits_for_look_up
            else [{"nodeId": "processes", "kind": "process", "slots": 2}]
        },
        "executionPlan": {},
        "checkpointInterval": 1000,
        "errorHandlingStrategy": "CONTINUE_ON_ERROR",
        "parallelismLevel": 10 if waits_for_look_up else 2,
    }


def write(name: str, directory: Path = HERE) -> Path:
    """Write the document called `name` into `directory`; a half-written file never has the final name."""
    target = directory / f"{name}.json"
    unfinished = target.with_suffix(".json.unfinished")
    unfinished.write_text(json.dumps(document(name, read_fixings()), separators=(",", ":")), encoding="utf-8")
    return unfinished.replace(target)


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0] not in {"latest", "all"}:
        print(__doc__, file=sys.stderr)
        return 2
    path = write(arguments[0])
    print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
