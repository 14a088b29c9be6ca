"""A node on a Dask cluster: one slice is one Dask task."""

import asyncio
import threading
import time
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec

from everyitem.adapters.nodes.dask.dispatch import Dispatch
from everyitem.adapters.nodes.dask.frames import Opening, Software
from everyitem.adapters.nodes.dask.link import Link
from everyitem.adapters.nodes.dask.own_cluster import Contact, OwnCluster
from everyitem.adapters.nodes.dask.patience import Patience
from everyitem.model.errors import UsageError
from everyitem.model.items import Items
from everyitem.model.resources import NodeSpec, address_problem
from everyitem.ports.node import Lease, NodeFailed, Post, WorkerView
from everyitem.work.assignment import Assignment, OriginKind
from everyitem.work.processors import ItemProcessor, refuse_local

#: Seconds the node's end may take: closing stations, connection and cluster, all bounded.
_END = 25.0


class DaskNode:
    """Runs items on the workers of a Dask cluster, with `slots` slices under way (`dask/1`, `dask/2`, ...).

    The cluster is the one at the node's address, or its `own`, which lives as long as the node.
    Raises `EveryitemError` for an item processor that other processes cannot import, `UsageError` for an
    address that would carry items unprotected through a network.
    """

    def __init__(
        self,
        spec: NodeSpec,
        *,
        slots: int,
        assignment: Assignment,
        processor: ItemProcessor,
        items: Items,
        own: OwnCluster | None = None,
        patience: Patience | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        refuse_local(assignment.processor, assignment.origin)
        problem = address_problem(spec.address)
        if problem:
            raise UsageError(f"node {spec.node_id!r}: {problem}")
        self.node_id, self._address = spec.node_id, spec.address or ""
        self._own = own
        self._items, self._clock, self._slots = items, clock, slots
        self._patience = patience or Patience()
        self._opening = _opening(spec, assignment, processor)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._dispatch: Dispatch | None = None

    @property
    def dropped(self) -> int:
        """Reports that came after their slice was over, and were dropped."""
        return 0 if self._dispatch is None else self._dispatch.dropped

    def start(self, post: Post) -> None:
        """Connect to the scheduler; the holders announce themselves once workers are ready."""
        loop = asyncio.new_event_loop()
        dispatch = Dispatch(
            node_id=self.node_id,
            slots=self._slots,
            opening=self._opening,
            items=self._items,
            connect=self._connect,
            post=post,
            clock=self._clock,
            patience=self._patience,
        )
        thread = threading.Thread(
            target=_live, args=(loop, dispatch, self._own), name=f"everyitem-{self.node_id}", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as error:  # no thread left
            loop.close()
            post(NodeFailed(self._clock(), self.node_id, f"the node cannot start: {error}"))
            return
        self._loop, self._thread, self._dispatch = loop, thread, dispatch

    def run_slice(self, holder: str, lease: Lease) -> None:
        """Give a holder a lease."""
        if self._dispatch is not None:
            self._call(partial(self._dispatch.run_slice, holder, lease))

    def revoke(self, holder: str, lease_id: int, *, drains: bool = False) -> None:
        """Take back what is unstarted of a lease: one item process leaves no gaps."""
        if self._dispatch is not None:
            self._call(partial(self._dispatch.revoke, holder, lease_id))

    def resize(self, slots: int) -> None:
        """Have more slices under way where there were too few; holders there are too many of stay idle."""
        if self._dispatch is None:
            self._slots = slots
        else:
            self._call(partial(self._dispatch.resize, slots))

    def interrupt(self) -> None:
        """End the items on the workers; what they had finished is recovered, nobody is charged."""
        if self._dispatch is not None:
            self._call(self._dispatch.interrupt)

    def close(self) -> None:
        """Let the workers run `teardown`, and end the connection; a cluster of its own ends, others go on."""
        if self._dispatch is not None and self._thread is not None:
            self._call(self._dispatch.close)
            self._thread.join(_END)

    def views(self) -> list[WorkerView]:
        """What each holder does now."""
        return [] if self._dispatch is None else self._dispatch.views()

    async def _connect(
        self, on_begun: Callable[[str, int, str], None], on_gone: Callable[[str], None]
    ) -> Link:
        contact = Contact(self._address, None) if self._own is None else await self._own.contact()
        return await Link.connect(
            contact.address, security=contact.security, on_begun=on_begun, on_gone=on_gone
        )

    def _call(self, call: Callable[[], None]) -> None:
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(call)
        except RuntimeError:
            return  # the loop has ended


def _live(loop: asyncio.AbstractEventLoop, dispatch: Dispatch, own: OwnCluster | None) -> None:
    """The node's thread: one event loop for as long as the node lives."""
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(dispatch.run())
        if own is not None:
            runner.run(own.close())


def _opening(spec: NodeSpec, assignment: Assignment, processor: ItemProcessor) -> Opening:
    """What a worker needs before its first item; a processor's own file goes along."""
    file_name, file = "", b""
    if assignment.origin.kind is OriginKind.FILE:
        path = Path(assignment.origin.where)
        try:
            file_name, file = path.name, path.read_bytes()
        except OSError as error:
            raise UsageError(f"cannot read the item processors' file {path}: {error.strerror}") from error
    return Opening(
        Software.here(),
        uuid.uuid4().hex,
        msgspec.structs.replace(assignment, code_digest=processor.code_digest),
        slots=spec.slots,
        memory_mb=spec.memory_mb and max(1, spec.memory_mb // spec.slots),
        file_name=file_name,
        file=file,
    )
