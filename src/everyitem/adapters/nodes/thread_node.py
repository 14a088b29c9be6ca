"""The thread node: items run in threads of this process. Right for work that waits."""

import time
from collections.abc import Callable

from everyitem.adapters.nodes.memory_budget import MemoryBudget
from everyitem.adapters.nodes.slot_node import SlotNode
from everyitem.adapters.nodes.thread_crew import ThreadCrew
from everyitem.model.items import Items
from everyitem.model.resources import NodeSpec
from everyitem.ports.started import StartedCells
from everyitem.work.assignment import Assignment
from everyitem.work.processors import ItemProcessor


class ThreadNode(SlotNode):
    """`slots` threads on one shared queue; `async def` processors get an event loop per thread.

    A thread whose item runs out of time is abandoned and replaced: Python cannot end it.
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
        super().__init__(
            spec,
            slots=slots,
            assignment=assignment,
            processor=processor,
            items=items,
            budget=budget,
            clock=clock,
            started=started,
            build_crew=ThreadCrew,
        )
