"""The async node: items run as coroutines on one event loop. Right for many items that wait."""

import time
from collections.abc import Callable
from typing import Any

from everyitem.adapters.nodes.crew import Crew
from everyitem.adapters.nodes.loop_crew import LoopCrew
from everyitem.adapters.nodes.memory_budget import MemoryBudget
from everyitem.adapters.nodes.shared_queue import SharedQueue
from everyitem.adapters.nodes.slot_node import SlotNode
from everyitem.adapters.nodes.thread_crew import ThreadCrew
from everyitem.model.items import Items
from everyitem.model.resources import NodeSpec
from everyitem.ports.started import StartedCells
from everyitem.work.assignment import Assignment
from everyitem.work.context import BatchView
from everyitem.work.processors import ItemProcessor


class AsyncNode(SlotNode):
    """`slots` coroutines on one shared queue and one loop; plain functions run in as many threads.

    A coroutine whose item runs out of time is cancelled.
    """

    def __init__(
        self,
        spec: NodeSpec,
        *,
        slots: int,
        assignment: Assignment,
        processor: ItemProcessor,
        items: Items,
        budget: MemoryBudget | None = None,
        clock: Callable[[], float] = time.monotonic,
        started: StartedCells | None = None,
    ) -> None:
        def build_crew(queue: SharedQueue, processor: ItemProcessor, batch: BatchView) -> Crew[Any]:
            if processor.is_async:
                return LoopCrew(queue, processor, batch, name=spec.node_id)
            return ThreadCrew(queue, processor, batch)

        super().__init__(
            spec,
            slots=slots,
            assignment=assignment,
            processor=processor,
            items=items,
            budget=budget,
            clock=clock,
            started=started,
            build_crew=build_crew,
        )
