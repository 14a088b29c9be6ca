"""Messages and commands as lines of a story."""

from collections.abc import Sequence

from everyitem.engine.messages import Command, Message, RunSlice, SaveCheckpoint
from everyitem.model.outcome import OutcomeBlock
from everyitem.ports.node import HolderLost, OutcomesArrived, SliceFinished


def told(said: Message | Command) -> str:
    """A message or command in few words."""
    match said:
        case RunSlice(holder=holder, lease=lease):
            which = f"attempt {lease.attempt} of {_indices(lease.indices)}"
            return f"RunSlice {lease.lease_id} to {holder}: {which}"
        case SaveCheckpoint():
            outcomes = sum(one.succeeded + one.failed for one in said.segments)
            return (
                f"SaveCheckpoint {said.ticket}: {len(said.segments)} segments with {outcomes} outcomes, "
                f"{len(said.retries)} changes of retries"
            )
        case OutcomesArrived() | SliceFinished():
            return f"{type(said).__name__} {said.lease_id} of {said.holder}: {_block(said.block)}"
        case HolderLost():
            suspects = f", suspects {_indices(said.isolate)}" if said.isolate else ""
            return f"HolderLost {said.holder}: {_block(said.block)}{suspects}"
        case _:
            fields = {name: getattr(said, name) for name in said.__struct_fields__ if name != "at"}
            return " ".join([type(said).__name__, *(f"{name}={value}" for name, value in fields.items())])


def _block(block: OutcomeBlock) -> str:
    succeeded = [index for run in block.successes for index in run.indices()]
    failed = [f"{one.index} (attempt {one.attempt}, {one.type})" for one in block.failures]
    parts = [f"succeeded {_indices(succeeded)}"] if succeeded else []
    parts += [f"failed {', '.join(failed)}"] if failed else []
    return "; ".join(parts) or "nothing"


def _indices(indices: Sequence[int]) -> str:
    if isinstance(indices, range) and len(indices) > 1:
        return f"{indices.start}..{indices.stop - 1}"
    return ", ".join(map(str, indices))
