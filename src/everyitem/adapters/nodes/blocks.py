"""Joining blocks of outcomes, so that few leave a node."""

from everyitem.model.outcome import OutcomeBlock


def concatenate_blocks(blocks: list[OutcomeBlock]) -> OutcomeBlock:
    """One block of several (their attempts may differ)."""
    if len(blocks) == 1:
        return blocks[0]
    return OutcomeBlock(
        [run for block in blocks for run in block.successes],
        [failure for block in blocks for failure in block.failures],
        [entry for block in blocks for entry in block.logs],
    )
