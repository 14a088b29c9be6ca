"""From a batch and a store to an execution that is carried out."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from everyitem.adapters.stores.nearby import NearbyCopy
from everyitem.compose.nodes import node_builder, refuse_unfit
from everyitem.compose.places import data_directory
from everyitem.compose.watching import Watching
from everyitem.engine import settling
from everyitem.engine.execution import Conclusion, Execution
from everyitem.engine.observers import Observers
from everyitem.engine.patience import Patience
from everyitem.engine.patient_store import PatientStore
from everyitem.engine.progress import Listener
from everyitem.engine.resumption import failing_commits
from everyitem.engine.submission import Submission
from everyitem.engine.switch import Switch
from everyitem.model.batch import ProcessingBatch
from everyitem.model.redaction import learn
from everyitem.model.resources import NodeKind
from everyitem.model.response import Response
from everyitem.ports.doubt import Settlement
from everyitem.ports.execution import ExecutionRecord
from everyitem.ports.store import Ownership, Store
from everyitem.work.processors import ItemProcessor, find_processor
from everyitem.work.stretch import MAX_ITEMS

if TYPE_CHECKING:
    from everyitem.adapters.started import StartedFile

#: Kinds of nodes whose items run in the coordinator's own process.
_IN_THIS_PROCESS = (NodeKind.THREAD, NodeKind.ASYNC)


def submit(
    store: Store,
    batch: ProcessingBatch,
    *,
    rerun: bool = False,
    settings_json: bytes = b"{}",
    source: bytes | None = None,
    listener: Listener | None = None,
    switch: Switch | None = None,
    watching: "Watching | None" = None,
) -> Conclusion:
    """Execute a batch, go on with it, wait for who does, or answer from the record.

    `settings_json` says which settings are in force and where each came from; it is kept with the
    execution. Raises `UnknownProcessor`, `ContentDiffers`, `UsageError` and `StoreError`.
    """
    submission = _submission(
        store, batch, listener, switch, watching, settings_json=settings_json, source=source
    )
    return submission.submit(rerun=rerun)


def resume(
    store: Store,
    record: ExecutionRecord,
    batch: ProcessingBatch,
    *,
    accept_damage: bool = False,
    listener: Listener | None = None,
    switch: Switch | None = None,
    watching: "Watching | None" = None,
) -> Conclusion:
    """Go on with a stored execution; `accept_damage` opens the items of damaged segments again."""
    submission = _submission(store, batch, listener, switch, watching, accept_damage=accept_damage)
    return submission.resume(record, repair=accept_damage)


def recover(
    store: Store,
    record: ExecutionRecord,
    batch: ProcessingBatch,
    *,
    listener: Listener | None = None,
    switch: Switch | None = None,
    watching: "Watching | None" = None,
) -> Conclusion:
    """Go on with an execution whose process has died, without anybody having asked for it."""
    return _submission(store, batch, listener, switch, watching).recover(record)


def redrive(
    store: Store,
    record: ExecutionRecord,
    batch: ProcessingBatch,
    *,
    indices: Sequence[int],
    corrections: Mapping[int, bytes],
    listener: Listener | None = None,
    switch: Switch | None = None,
    watching: "Watching | None" = None,
) -> Conclusion:
    """Run failed items again, some with corrected payloads (JSON texts by index), as the next round."""
    return _submission(store, batch, listener, switch, watching).redrive(record, indices, corrections)


def settle_at_rest(
    store: Store, record: ExecutionRecord, ownership: Ownership, settlement: Settlement
) -> None:
    """Record a person's decision about an item in doubt of an execution nobody carries out."""
    key = record.execution_key
    settling.settle_at_rest(ownership, record, store.recorded(key), store.items(key), settlement)


def fail_at_rest(store: Store, record: ExecutionRecord, response: Response) -> bool:
    """Record an `ERROR` response for an execution that could not be carried out; False when somebody does."""
    ownership = store.claim(record.execution_key)
    if ownership is None:
        return False
    try:
        for commit in failing_commits(record, response=response.to_json(), at=time.time()):
            ownership.commit(commit)
    finally:
        ownership.release()
    return True


def _submission(
    store: Store,
    batch: ProcessingBatch,
    listener: Listener | None,
    switch: Switch | None,
    watching: "Watching | None",
    *,
    accept_damage: bool = False,
    settings_json: bytes = b"{}",
    source: bytes | None = None,
) -> Submission:
    processor = find_processor(batch.configuration.processor)
    refuse_unfit(batch, processor)
    switch = switch or Switch()
    configuration = batch.configuration
    patience = Patience(configuration.store_patience, drain=configuration.drain, switch=switch)
    store = PatientStore(store, patience)
    learn(configuration.parameters)

    def carry_out(record: ExecutionRecord, ownership: Ownership, *, recovering: bool = False) -> Conclusion:
        # an execution that goes on takes its items from the store: corrected ones are in there
        fresh = record.runs == 1 and record.round == 1
        items = batch.items if fresh else store.items(record.execution_key)
        started = started_items(store, record, batch, processor)
        observers, traceparent = ([], "") if watching is None else watching.run()
        execution = Execution(
            store,
            record,
            ownership,
            replace(batch, items=items),
            build_nodes=node_builder(processor, started, traceparent),
            switch=switch,
            listener=listener,
            accept_damage=accept_damage,
            recovering=recovering,
            unit=processor.chunk_size or 1,
            started=started,
            meter=patience.meter,
            observers=Observers(observers),
            traceparent=traceparent,
        )
        with NearbyCopy(items):
            return execution.run()

    return Submission(
        store,
        batch,
        carry_out=carry_out,
        processor_code=processor.code_digest,
        switch=switch,
        settings_json=settings_json,
        source=source,
    )


def started_items(
    store: Store, record: ExecutionRecord, batch: ProcessingBatch, processor: ItemProcessor
) -> "StartedFile":
    """The started-items file; nodes whose workers are processes note nothing in it."""
    from everyitem.adapters.nodes.slot_node import WORKERS_PER_SLOT
    from everyitem.adapters.started import StartedFile, started_path

    here = [node.slots for node in batch.resources.nodes if node.kind in _IN_THIS_PROCESS]
    # a round of its own begins without the deaths of earlier ones: who is redriven is called again
    execution = (record.batch_id, record.execution, record.content, record.items_digest, record.created_at)
    identity = (*execution, record.round)
    return StartedFile(
        started_path(store.url, record.execution_key, data_directory()),
        identity=hashlib.sha256(msgspec.json.encode(identity)).hexdigest(),
        item_count=record.item_count,
        cells=WORKERS_PER_SLOT * sum(here),
        capacity=max(MAX_ITEMS, processor.chunk_size or 1),
    )
