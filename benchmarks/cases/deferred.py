"""What a run holds in memory of items that wait for somebody else's answer."""

import json
import subprocess
import sys
from collections.abc import Iterator

from benchmarks.measure import Figure, Options
from benchmarks.ours import document

#: Megabytes ten thousand outstanding items may take.
_AT_MOST = 50.0

#: Runs a batch until so many items are outstanding, and says how much memory the process has then.
_RUN = """
import json, resource, sys
from pathlib import Path
import everyitem
import benchmarks.processors
document, store, wanted = sys.argv[1], sys.argv[2], int(sys.argv[3])
switch, said = everyitem.Switch(), []
def looked(snapshot):
    if snapshot.deferred >= wanted and not said:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        said.append(pages * resource.getpagesize() / 1e6)
        switch.stop("measured")
try:
    everyitem.run(json.loads(Path(document).read_text()), store=store, switch=switch, on_progress=looked)
except everyitem.ExecutionInterrupted:
    print(said[0])
"""


def measure(options: Options) -> Iterator[Figure]:
    """Resident memory with many items outstanding, less that with ten."""
    count = options.items(10_000, 2_000)
    yield Figure(
        case="deferred",
        what=f"memory for {count:,} deferred items that are outstanding, over ten",
        unit="MB",
        values=[
            _resident(options, number, count) - _resident(options, -1 - number, 10)
            for number in range(min(3, options.pairs))
        ],
        at_most=_AT_MOST,
    )


def _resident(options: Options, number: int, outstanding: int) -> float:
    items = [{"id": index, "amount": f"{index % 997}.25"} for index in range(outstanding)]
    path = options.directory / f"deferred-{number}.json"
    path.write_text(json.dumps(document(items, "bench-deferring", kind="thread", slots=5)), encoding="utf-8")
    store = f"sqlite:///{options.directory}/deferred-{number}.sqlite"
    command = [sys.executable, "-c", _RUN, str(path), store, str(outstanding)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
