"""Joining blocks of outcomes, so that few and large ones leave a node."""

from everyitem.model.outcome import OutcomeBlock, Successes
from everyitem.work.stretch import MAX_ITEMS


def merge_blocks(blocks: list[OutcomeBlock]) -> OutcomeBlock:
    """One block of blocks from the same lease: successes as few runs, in item order as far as possible."""
    if len(blocks) == 1:
        return blocks[0]
    whole = concatenate_blocks(blocks)
    whole.successes = _merge_successes(whole.successes)
    return whole


def concatenate_blocks(blocks: list[OutcomeBlock]) -> OutcomeBlock:
    """One block of blocks from different leases (their attempts may differ)."""
    return OutcomeBlock(
        [run for block in blocks for run in block.successes],
        [failure for block in blocks for failure in block.failures],
        [entry for block in blocks for entry in block.logs],
    )


def _merge_successes(runs: list[Successes]) -> list[Successes]:
    """The runs in item order, small ones joined: few to count, and none larger than need be to cut."""
    runs.sort(key=lambda run: run.ranges[0])
    merged: list[Successes] = []
    group: list[Successes] = []
    size = 0
    for run in runs:
        if group and size + len(run) > MAX_ITEMS:
            merged.append(_joined(group))
            group, size = [], 0
        group.append(run)
        size += len(run)
    return [*merged, _joined(group)] if group else merged


def _joined(runs: list[Successes]) -> Successes:
    if len(runs) == 1:
        return runs[0]
    ranges: list[tuple[int, int]] = []
    for run in runs:
        for first, count in run.ranges:
            if ranges and first == sum(ranges[-1]):
                ranges[-1] = (ranges[-1][0], ranges[-1][1] + count)
            else:
                ranges.append((first, count))
    durations = [duration for run in runs for duration in run.durations_us]
    results = b"[" + b",".join([run.results[1:-1] for run in runs]) + b"]"
    return Successes(ranges, runs[0].attempt, durations, results)
