"""Really running a few items of a batch, to know what the others will take."""

import resource
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from everyitem.faces.api.forecast import Measured
from everyitem.faces.api.response import Response
from everyitem.model.batch import ProcessingBatch
from everyitem.model.configuration import ErrorStrategy
from everyitem.model.errors import UsageError
from everyitem.model.items import InMemoryItems
from everyitem.model.plan import ExecutionPlan
from everyitem.model.resources import NodeKind

#: Seconds of items below which nothing is said about how much they compute.
SEEN = 0.05

#: Carries a batch out in the store at a URL.
Run = Callable[[ProcessingBatch, str], Response]


def measure_sample(batch: ProcessingBatch, size: int, run: Run) -> list[Measured]:
    """Run `size` items from all over the batch: alone, at the planned parallelism, and on all slots.

    Their outcomes go to a store of their own and are forgotten; what the item processor does is done.

    Raises:
        UsageError: the batch is at-most-once, so nothing of it may be called twice; or the sample ended
            with an `ERROR`.
    """
    if batch.configuration.at_most_once:
        raise UsageError(
            "a sample calls items that the batch will call again, and this batch is at-most-once; "
            "`everyitem plan` without --sample uses the history of its processor"
        )
    levels = sample_levels(batch)
    shares = share_out(len(batch.items), size, levels)
    with tempfile.TemporaryDirectory(prefix="everyitem-sample-") as folder:

        def carry_out(indices: Sequence[int], parallelism: int) -> "_Carried":
            store = Path(folder) / f"{parallelism}-{indices[0]}.sqlite"
            return _carry_out(batch, indices, parallelism, run, f"sqlite:///{store}")

        # one item by itself, to know what beginning and ending cost
        bare = carry_out([0], 1)
        return [
            _compare(carry_out(indices, parallelism), bare, batch)
            for parallelism, indices in shares
            if indices
        ]


def sample_levels(batch: ProcessingBatch) -> list[int]:
    """The parallelisms worth trying: one, the planned, and all slots."""
    slots = batch.resources.slots
    return sorted({1, min(batch.configuration.parallelism, slots), slots})


def share_out(count: int, size: int, levels: Sequence[int]) -> list[tuple[int, list[int]]]:
    """Which items run at which parallelism: spread evenly over the batch, no item twice.

    A higher parallelism needs more items to keep its workers busy.
    """
    size = min(size, count)
    dealt: dict[int, list[int]] = {level: [] for level in levels}
    for number in range(size):
        level = min(levels, key=lambda one: (len(dealt[one]) + 1) / (one + 1))
        dealt[level].append(number * count // size)
    return list(dealt.items())


class _Carried(msgspec.Struct, frozen=True, kw_only=True):
    """What carrying a part of the batch out has taken, in seconds."""

    parallelism: int
    items: Sequence[float]
    failed: int
    active: float
    #: Processor time of this process.
    computed: float


def _carry_out(
    batch: ProcessingBatch, indices: Sequence[int], parallelism: int, run: Run, store_url: str
) -> _Carried:
    sample = replace(
        batch,
        batch_id=f"{batch.batch_id}~sample",
        known_as=None,
        items=InMemoryItems(batch.items.text(indices), named=batch.items.named),
        content="",
        envelope=b"{}",  # written anew, from what stands here
        plan=ExecutionPlan(),
        configuration=replace(
            batch.configuration,
            parallelism=min(parallelism, len(indices)),
            strategy=ErrorStrategy.CONTINUE_ON_ERROR,
            enable_checkpointing=False,
        ),
        warnings=(),
    )
    before = _computed()
    response = run(sample, store_url)
    computed = _computed() - before
    if response.status == "ERROR":
        raise UsageError(f"the sample ended with {response.error_code}: {response.error_message}")
    results = list(response.results())
    return _Carried(
        parallelism=min(parallelism, len(indices)),
        items=[one.duration_ms / 1000 for one in results],
        failed=sum(not one.succeeded for one in results),
        active=response.metadata["executionDuration"] / 1000,
        computed=computed,
    )


def _compare(carried: _Carried, bare: _Carried, batch: ProcessingBatch) -> Measured:
    """What the items themselves took: without what the bare minimum of a run takes."""
    busy = sum(carried.items)
    computing = None
    if carried.parallelism == 1 and busy > SEEN and _runs_here(batch):
        # side by side items wait for the interpreter's lock as well, which looks like waiting
        computing = min(1.0, max(0.0, carried.computed - max(0.0, bare.computed - bare.items[0])) / busy)
    return Measured(
        parallelism=carried.parallelism,
        seconds=carried.items,
        failed=carried.failed,
        elapsed=max(0.0, carried.active - max(0.0, bare.active - bare.items[0])),
        computing=computing,
    )


def _runs_here(batch: ProcessingBatch) -> bool:
    """Whether items run in this process, where it is seen how much they compute."""
    return all(node.kind in (NodeKind.THREAD, NodeKind.ASYNC) for node in batch.resources.nodes)


def _computed() -> float:
    """Seconds of processor time this process has used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
