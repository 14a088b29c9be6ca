"""A hand to feed the state machine with: no threads, no clock, no chance."""

from collections.abc import Sequence
from typing import Any

from everyitem.engine.deferrals import OpenDeferral
from everyitem.engine.messages import (
    CheckpointSaved,
    Command,
    Finish,
    RevokeSlice,
    RunSlice,
    SaveCheckpoint,
    Verdict,
    WakeAt,
)
from everyitem.engine.retries import PendingAttempt
from everyitem.engine.state import ExecutionState
from everyitem.engine.suspects import NOBODY
from everyitem.model.configuration import ProcessingConfiguration
from everyitem.model.errors import ErrorCode
from everyitem.model.outcome import Failure, OutcomeBlock, Successes
from everyitem.model.plan import partition_items
from everyitem.ports.doubt import Intent
from everyitem.ports.node import HolderJoined, Lease, OutcomesArrived, SliceFinished
from everyitem.ports.started import Suspicion


def successes(indices: Sequence[int], attempt: int = 1) -> OutcomeBlock:
    """A block in which these items succeeded, each with its index as the result."""
    if not indices:
        return OutcomeBlock([], [])
    run = Successes(
        [(index, 1) for index in indices],
        attempt,
        [1000] * len(indices),
        b"[" + b",".join(b"%d" % index for index in indices) + b"]",
    )
    return OutcomeBlock([run], [])


def failure(index: int, attempt: int = 1, **more: Any) -> OutcomeBlock:
    """A block in which one item failed."""
    return OutcomeBlock([], [Failure(index, attempt, ErrorCode.ITEM_ERROR, "Boom", "boom", **more)])


class Driver:
    """Feeds messages and keeps what was answered."""

    def __init__(
        self,
        items: int,
        *,
        nodes: Sequence[tuple[str, int]] = (("n", 1),),
        partitions: int = 1,
        pending: Sequence[PendingAttempt] = (),
        recorded: bytearray | None = None,
        deadline: float = float("inf"),
        chance: float = 1.0,
        isolating: Sequence[str] = (),
        unit: int = 1,
        suspicion: Suspicion = NOBODY,
        intents: Sequence[Intent] = (),
        deferred: Sequence[OpenDeferral] = (),
        **configuration: Any,
    ) -> None:
        self.now = 0.0
        self.state = ExecutionState(
            ProcessingConfiguration(processor="p", **configuration),
            recorded=recorded if recorded is not None else bytearray(items),
            nodes=nodes,
            partitions=partition_items(items, partitions),
            at=0.0,
            chance=lambda: chance,
            pending=pending,
            deadline=deadline,
            isolating=isolating,
            unit=unit,
            suspicion=suspicion,
            intents=intents,
            deferred=deferred,
        )
        self.commands: list[Command] = []
        self.saves: list[SaveCheckpoint] = []
        self.wake_at: float | None = None
        self.verdict: Verdict | None = None

    def tell(self, message: Any) -> list[Command]:
        """Feed a message; returns the commands it led to."""
        answered = self.state.handle(message)
        self.commands += answered
        for command in answered:
            match command:
                case SaveCheckpoint():
                    self.saves.append(command)
                case WakeAt():
                    self.wake_at = command.at
                case Finish():
                    self.verdict = command.verdict
        return answered

    def join(
        self, holder: str = "n/1", node: str = "n", slots: int = 1, *, shared: bool = False
    ) -> list[Lease]:
        """A holder comes up; returns the leases it is dealt."""
        return leases(self.tell(HolderJoined(self.now, holder, node, slots, shared)))

    def finish(self, lease: Lease, block: OutcomeBlock, holder: str = "n/1") -> list[Lease]:
        """A slice ends; returns the leases dealt next."""
        return leases(self.tell(SliceFinished(self.now, holder, lease.lease_id, block)))

    def arrive(self, lease: Lease, block: OutcomeBlock, holder: str = "n/1") -> list[Command]:
        """Outcomes arrive while the slice goes on."""
        return self.tell(OutcomesArrived(self.now, holder, lease.lease_id, block))

    def confirm_saves(self) -> list[Command]:
        """The store confirms everything asked for so far."""
        return self.tell(CheckpointSaved(self.now, self.saves[-1].ticket))


def leases(commands: Sequence[Command]) -> list[Lease]:
    """The leases among commands."""
    return [command.lease for command in commands if isinstance(command, RunSlice)]


def revocations(commands: Sequence[Command]) -> list[int]:
    """The numbers of the leases revoked by commands."""
    return [command.lease_id for command in commands if isinstance(command, RevokeSlice)]
