"""`python -m benchmarks.soak [--minutes 30] [--batches 20]`: the specification's section 7 under faults.

First one batch of as many items as the minutes allow, struck about every twenty seconds: workers are killed
and stopped, the store is taken away for some seconds, the coordinator is killed; and some of its items
raise, hang and kill. Then batches of a thousand items, each of which has the part of an hour in which
50,000 items an hour are done. What is found is printed as JSON.

*Lost* is time in which items were open and no item ended for more than a second, though somebody was there
to run them: all gaps but those in which the coordinator was killed, or the store was away and nothing could
be recorded. The time from a kill to the first end of an item after it is told beside it.
"""

import argparse
import json
import random
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.soak.run import AWAY, KILLED, Shape, SoakRun
from benchmarks.soak.timeline import gaps, lost

#: What is asked for.
ITEMS_PER_HOUR = 50_000
SLOTS, SECONDS = 6, 0.25
BATCH_ITEMS, BATCH_SECONDS = 1_000, 0.1


def main(arguments: Sequence[str]) -> int:
    """Run both parts and print what was found."""
    options = _parser().parse_args(arguments)
    build = Path("build")
    build.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=build, prefix="soak-") as directory:
        folder = Path(directory).resolve()
        found: dict[str, Any] = {"seed": options.seed}
        try:
            if options.minutes:
                found["soak"] = _long(folder / "long", options)
            if options.batches:
                found["batches"] = _batches(folder / "batches", options)
        finally:
            # half an hour is not to be lost for what comes after it
            print(json.dumps(found, indent=2), flush=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30, help="length of the long batch; 0 leaves it out")
    parser.add_argument("--batches", type=int, default=20, help="scaled batches after it; 0 leaves them out")
    parser.add_argument("--every", type=float, default=20, help="seconds between two faults on average")
    parser.add_argument("--seed", type=int, default=7)
    return parser


def _long(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    items = int(options.minutes * 60 * SLOTS / SECONDS)
    shape = Shape(items=items, seconds=SECONDS, slots=SLOTS, every=options.every)
    run = SoakRun(shape=shape, folder=folder, batch_id="soak", chance=random.Random(options.seed))
    run.carry_out(lambda text: print(text, file=sys.stderr, flush=True))
    run.check()
    return _told(run)


def _told(run: SoakRun) -> dict[str, Any]:
    ends = run.ends()
    took = run.ended - run.began
    found = gaps(ends, run.strikes, began=min(ends), ended=max(ends))
    restarts = [gap.seconds for gap in found if gap.cause == KILLED]
    others = sorted({gap.cause for gap in found} - {KILLED, AWAY})
    answer = run.response["result"]
    third = max(1, len(run.samples) // 3)
    return {
        "items": run.shape.items,
        "minutes": round(took / 60, 2),
        "itemsPerHour": round(run.shape.items / took * 3600),
        "secondsToTheFirstItem": round(min(ends) - run.began, 2),
        "strikes": dict(Counter(strike.kind for strike in run.strikes)),
        "runs": answer["executionMetadata"]["runs"],
        "itemsFailed": answer["executionResults"]["itemsFailed"],
        "callsRepeated": len(ends) - answer["executionResults"]["itemsSuccessful"],
        "parallelismAchieved": answer["executionMetadata"]["parallelismAchieved"],
        "lostSeconds": round(lost(found, *others), 2),
        "lostPercent": round(100 * lost(found, *others) / took, 4),
        "gaps": [(round(gap.began - run.began, 1), round(gap.seconds, 2), gap.cause) for gap in found],
        "secondsToGoOnAfterAKill": _spread(restarts),
        "restartsPercent": round(100 * sum(restarts) / took, 3),
        "coordinatorMb": {
            "first third": round(statistics.median(one.coordinator_mb for one in run.samples[:third]), 1),
            "last third": round(statistics.median(one.coordinator_mb for one in run.samples[-third:]), 1),
            "most": round(max(one.coordinator_mb for one in run.samples), 1),
        },
        "altogetherMb": round(max(one.altogether_mb for one in run.samples), 1),
        "descriptors": _spread([one.descriptors for one in run.samples]),
    }


def _batches(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    window = BATCH_ITEMS / ITEMS_PER_HOUR
    shape = Shape(
        items=BATCH_ITEMS,
        seconds=BATCH_SECONDS,
        slots=SLOTS,
        every=options.every / 4,
        window_hours=window,
    )
    took = []
    for number in range(options.batches):
        run = SoakRun(
            shape=shape,
            folder=folder,
            batch_id=f"scaled-{number}",
            chance=random.Random(options.seed + number),
        )
        run.carry_out(lambda text: print(text, file=sys.stderr, flush=True))
        run.check()
        took.append(run.ended - run.began)
    return {
        "batches": len(took),
        "items": BATCH_ITEMS,
        "windowSeconds": window * 3600,
        "seconds": _spread(took),
        "p95Seconds": round(sorted(took)[max(0, -(-95 * len(took) // 100) - 1)], 1),
    }


def _spread(values: Sequence[float]) -> dict[str, float]:
    if not values:
        return {}
    return {
        "least": round(min(values), 2),
        "median": round(statistics.median(values), 2),
        "most": round(max(values), 2),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
