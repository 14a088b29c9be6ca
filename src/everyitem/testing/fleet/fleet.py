"""The engine's real decisions, and thousands of nodes on virtual time."""

import gc
import heapq
import random
import time
from collections.abc import Callable
from itertools import count

import psutil

from everyitem.engine.messages import (
    CheckpointSaved,
    Command,
    Finish,
    Message,
    RevokeSlice,
    RunSlice,
    SaveCheckpoint,
    TimePassed,
    WakeAt,
)
from everyitem.engine.state import ExecutionState
from everyitem.model.configuration import ProcessingConfiguration
from everyitem.model.plan import partition_items
from everyitem.ports.node import HolderJoined, NodeFailed
from everyitem.testing.fleet.findings import Findings
from everyitem.testing.fleet.setting import SLOW_SHARE, Setting
from everyitem.testing.fleet.terrain import terrain_with_block
from everyitem.testing.fleet.virtual_disk import VirtualDisk
from everyitem.testing.fleet.virtual_worker import VirtualWorker

#: Messages between two words about how far it is.
_LOOK = 4096

#: Called now and then with the items that have an outcome and the virtual seconds that have passed.
Told = Callable[[int, float], None]


class Fleet:
    """One batch on one fleet; it runs once.

    Real is the state machine with all beneath it. Virtual are nodes, store and clock: an event is a message
    on its way to the coordinator, and the heap holds about one for each worker.
    """

    def __init__(self, setting: Setting, *, told: Told | None = None) -> None:
        self.setting = setting
        self._told = told
        self._memory_before = _memory()
        chance = random.Random(setting.seed)
        terrain = terrain_with_block(setting.items, setting.item_seconds, slow=setting.slow, share=SLOW_SHARE)
        names = [f"node-{number}" for number in range(setting.nodes)]
        speeds = {name: chance.uniform(1 - setting.spread, 1 + setting.spread) for name in names}
        self._workers = {
            worker: VirtualWorker(
                name=worker,
                node_id=name,
                terrain=terrain,
                speed=speeds[name],
                way=setting.round_trip / 2,
            )
            for name in names
            for worker in (f"{name}/{slot}" for slot in range(setting.slots))
        }
        self._ideal = terrain.total / (sum(speeds.values()) * setting.slots)
        self.state = ExecutionState(
            ProcessingConfiguration(
                processor="virtual",
                parallelism=setting.workers,
                checkpoint_interval=setting.checkpoint_interval,
            ),
            recorded=bytearray(setting.items),
            nodes=[(name, setting.slots) for name in names],
            partitions=partition_items(setting.items, setting.workers),
            at=0.0,
            chance=chance.random,
            isolating=names,
        )
        self._disk = VirtualDisk(setting.commit)
        self._number = count()
        #: What comes when: a message, a worker whose lease is over, the disk whose transaction is.
        self._coming: list[tuple[float, int, Message | VirtualWorker | VirtualDisk]] = []
        self._wake_at: float | None = None
        self._free_at = 0.0
        self._finished_at: float | None = None
        self._slices = self._recalls = self._messages = 0
        self._deciding = 0.0
        for worker in self._workers.values():
            self._come(0.0, HolderJoined(0.0, worker.name, worker.node_id, 1, round_trip=setting.round_trip))
        self._lose_some(names, chance)

    def _lose_some(self, names: list[str], chance: random.Random) -> None:
        """Nodes are lost between a quarter and three quarters of the time it takes at best."""
        lost = self.setting.lost
        for number, name in enumerate(chance.sample(names, lost)):
            at = self._ideal * (0.25 + 0.5 * number / lost)
            self._come(at, NodeFailed(at, name, "it is lost"))

    def run(self) -> Findings:
        """Play the batch to its verdict; raises `AssertionError` where it does not come to one."""
        begun_at = time.perf_counter()
        # as the runtime does: the collector need not look at what lives as long as the batch
        gc.freeze()
        try:
            while self._finished_at is None:
                message = self._next_message()
                if message is not None:
                    self._deliver(message)
        finally:
            gc.unfreeze()
        return self._findings(time.perf_counter() - begun_at)

    def _next_message(self) -> Message | None:
        """What comes next, or `TimePassed` when the state machine asked to be woken first."""
        if self._wake_at is not None and (not self._coming or self._wake_at < self._coming[0][0]):
            return TimePassed(self._wake_at)
        if not self._coming:
            raise AssertionError(f"the batch stands still with {self.state.ledger.open:,} items open")
        at, _, what = heapq.heappop(self._coming)
        return self._message(at, what)

    def _message(self, at: float, what: Message | VirtualWorker | VirtualDisk) -> Message | None:
        """What the coordinator hears now; None where that has been overtaken by something else."""
        if isinstance(what, VirtualWorker):
            # a lease that was shortened ends earlier than it was to
            return what.finish() if what.ends_at == at and what.name in self._workers else None
        if isinstance(what, VirtualDisk):
            saved, next_end = what.ended(at)
            if next_end is not None:
                self._come(next_end, what)
            return CheckpointSaved(at, saved)
        return what

    def _deliver(self, message: Message) -> None:
        if isinstance(message, NodeFailed):
            gone = [worker.name for worker in self._workers.values() if worker.node_id == message.node_id]
            for name in gone:
                del self._workers[name]
        # one after the other: what arrives meanwhile waits
        heard_at = max(message.at, self._free_at)
        self._free_at = heard_at + self.setting.decision
        # processor time: what else runs on this machine takes nothing away from it
        begun_at = time.thread_time()
        commands = self.state.handle(message, now=heard_at)
        self._deciding += time.thread_time() - begun_at
        self._messages += 1
        for command in commands:
            self._carry_out(command, self._free_at)
        if self._told is not None and not self._messages % _LOOK:
            self._told(self.state.ledger.succeeded, message.at)

    def _carry_out(self, command: Command, at: float) -> None:
        match command:
            case RunSlice():
                self._slices += 1
                worker = self._workers[command.holder]
                complaint = worker.take(command.lease, at)
                self._come_over(worker)
                if complaint is not None:
                    self._come(complaint.at, complaint)
            case RevokeSlice():
                self._recalls += 1
                worker = self._workers[command.holder]
                answer = worker.give_back(command.lease_id, at)
                if answer is not None:
                    self._come(answer.at, answer)
                    self._come_over(worker)
            case SaveCheckpoint():
                ends_at = self._disk.save(command.ticket, at)
                if ends_at is not None:
                    self._come(ends_at, self._disk)
            case WakeAt():
                self._wake_at = command.at
            case Finish():
                self._finished_at = at

    def _come_over(self, worker: VirtualWorker) -> None:
        if worker.ends_at is not None:
            self._come(worker.ends_at, worker)

    def _come(self, at: float, what: Message | VirtualWorker | VirtualDisk) -> None:
        heapq.heappush(self._coming, (at, next(self._number), what))

    def _findings(self, simulating: float) -> Findings:
        setting, state = self.setting, self.state
        return Findings(
            nodes=setting.nodes,
            workers=setting.workers,
            items=setting.items,
            succeeded=state.ledger.succeeded,
            failed=state.ledger.failed,
            makespan=self._finished_at or 0.0,
            ideal=self._ideal,
            slices=self._slices,
            steals=state.dealer.queues.steals,
            recalls=self._recalls,
            checkpoints=state.recorder.checkpoints,
            nodes_lost=setting.lost,
            messages=self._messages,
            deciding=self._deciding,
            simulating=simulating,
            memory_grown=_memory() - self._memory_before,
        )


def _memory() -> int:
    """Bytes of this process that are in memory."""
    return int(psutil.Process().memory_info().rss)
