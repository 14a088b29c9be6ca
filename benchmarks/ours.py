"""Running a batch with everyitem and reading off how long it took."""

import itertools
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import everyitem
from benchmarks.processors import RENDEZVOUS

_numbers = itertools.count()


@dataclass(frozen=True)
class Timing:
    """How long one batch took, in seconds."""

    #: The whole call: document in, response out.
    call: float
    #: From the first item's start, all workers being up, to the last recorded outcome; None if not asked for.
    work: float | None = None


def document(
    items: Sequence[Any],
    processor: str,
    *,
    kind: str,
    slots: int,
    node: Mapping[str, Any] = MappingProxyType({}),
    **configuration: Any,
) -> dict[str, Any]:
    """A batch of its own that runs `items` on one node with `slots` slots; `node` says more about that."""
    return {
        "batchId": f"bench-{os.getpid()}-{next(_numbers)}",
        "batchItems": items,
        "processingConfiguration": {"processor": processor, **configuration},
        "allocatedResources": {"nodes": [{"nodeId": "bench", "kind": kind, "slots": slots, **node}]},
        "executionPlan": {},
        "checkpointInterval": 1000,
        "parallelismLevel": slots,
    }


def run_batch(batch: Mapping[str, Any], store: Path | str) -> Timing:
    """Run a batch on an SQLite file or a store's URL; raises RuntimeError unless every item succeeds."""
    began = time.perf_counter()
    response = everyitem.run(dict(batch), store=store)
    seconds = time.perf_counter() - began
    answer = response.to_dict()
    if answer["status"] != "SUCCESS" or answer["result"]["executionResults"]["itemsFailed"]:
        raise RuntimeError(f"the measured batch did not succeed: {response.to_json()}")
    return Timing(seconds)


def run_timed_batch(batch: Mapping[str, Any], store: Path, *, processes: int = 0) -> Timing:
    """Run a batch whose results say when their item began; `processes` workers wait for each other."""
    with tempfile.TemporaryDirectory() as meeting_place:
        if processes:
            os.environ[RENDEZVOUS] = f"{meeting_place}:{processes}"
        try:
            timing = run_batch(batch, store)
        finally:
            os.environ.pop(RENDEZVOUS, None)
    with everyitem.open(f"sqlite:///{store}") as session:
        first = min(outcome.result for outcome in session.results(batch["batchId"]))
        last = max(checkpoint.created_at or "" for checkpoint in session.checkpoints(batch["batchId"]))
    return Timing(timing.call, datetime.fromisoformat(last).timestamp() - first / 1e9)


@contextmanager
def setting(name: str, value: str) -> Iterator[None]:
    """A setting of `everyitem` for a while."""
    variable = f"EVERYITEM_{name}"
    os.environ[variable] = value
    try:
        yield
    finally:
        del os.environ[variable]
