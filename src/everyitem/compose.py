"""From settings to a ready engine: the only place that names adapters.

Adapters are imported when a batch asks for them, so that nobody pays for a node kind or a store he does
not use.
"""

import hashlib
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from everyitem.engine import settling
from everyitem.engine.alerts.desk import AlertDesk
from everyitem.engine.execution import BuildNodes, Conclusion, Execution
from everyitem.engine.item_log import ItemLog
from everyitem.engine.observers import Observers
from everyitem.engine.patience import Patience
from everyitem.engine.patient_store import PatientStore
from everyitem.engine.progress import Listener
from everyitem.engine.resumption import failing_commits
from everyitem.engine.submission import Submission
from everyitem.engine.switch import Switch
from everyitem.model.batch import ProcessingBatch
from everyitem.model.configuration import ProcessingConfiguration
from everyitem.model.errors import StoreError, UsageError
from everyitem.model.redaction import learn
from everyitem.model.resources import NodeKind, NodeSpec
from everyitem.model.response import Response
from everyitem.model.trace import is_traceparent
from everyitem.ports.alerts import AlertStore
from everyitem.ports.inbox import Inbox
from everyitem.ports.monitoring import Monitoring
from everyitem.ports.node import Node
from everyitem.ports.observer import Observer, Overview
from everyitem.ports.queue import BatchQueue
from everyitem.ports.relay import Outlet
from everyitem.ports.retention import Retention
from everyitem.ports.source import ItemSource, SourceSpec
from everyitem.ports.store import ExecutionRecord, Ownership, Settlement, Store
from everyitem.ports.store_server import StoreServer
from everyitem.ports.subscription import Subscription
from everyitem.ports.tokens import TokenStore
from everyitem.settings import Settings
from everyitem.work.assignment import WORKER_VARIABLE, Assignment
from everyitem.work.processors import ItemProcessor, find_processor, refuse_local
from everyitem.work.stretch import MAX_ITEMS

if TYPE_CHECKING:
    from everyitem.adapters.metrics.endpoint import MetricsEndpoint
    from everyitem.adapters.nodes.async_node import AsyncNode
    from everyitem.adapters.nodes.memory_budget import MemoryBudget
    from everyitem.adapters.nodes.thread_node import ThreadNode
    from everyitem.adapters.started import StartedFile
    from everyitem.adapters.traces.export import Tracing
    from everyitem.engine.relay import Relay

__all__ = [
    "WORKER_VARIABLE",
    "Conclusion",
    "Listener",
    "Switch",
    "Watching",
    "data_directory",
    "default_store_url",
    "examine_server",
    "fail_at_rest",
    "json_log_handler",
    "look_after",
    "open_alerts",
    "open_inbox",
    "open_monitoring",
    "open_outlet",
    "open_queue",
    "open_retention",
    "open_source",
    "open_store",
    "open_tokens",
    "read_reference",
    "recover",
    "redrive",
    "render_metrics",
    "resume",
    "settle_at_rest",
    "submit",
    "subscribe",
    "watch",
]


#: What alerts about events that are to be published are filed under.
_EVENTS = ("(events)", 0)

#: Kinds of nodes whose items run in the coordinator's own process.
_IN_THIS_PROCESS = (NodeKind.THREAD, NodeKind.ASYNC)


def default_store_url() -> str:
    """The SQLite file in the user's data directory (XDG Base Directory Specification)."""
    return f"sqlite:///{data_directory() / 'everyitem.sqlite'}"


def data_directory() -> Path:
    """Where everyitem keeps what nobody has named a place for."""
    data = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(data) / "everyitem"


def open_outlet(url: str) -> Outlet:
    """The events the store at a URL is still to publish; raises as opening the store for writing does."""
    from everyitem.adapters.stores import opening

    return opening.open_outlet(url)


def open_store(url: str, *, read_only: bool = False) -> Store:
    """The store at a URL; raises `UsageError` for one this version does not know."""
    from everyitem.adapters.stores.opening import open_store as open_by_scheme

    return open_by_scheme(url, read_only=read_only)


def await_store(url: str, *, seconds: float, drain: float, switch: Switch) -> None:
    """Wait until the store at a URL, where one was a moment ago, can be read.

    A file that is not there is a volume that is away. Raises `StoreError` when nothing answers for `seconds`,
    or for `drain` after a stop was asked for.
    """

    def look() -> None:
        try:
            open_store(url, read_only=True).close()
        except UsageError as error:
            raise StoreError(str(error)) from error

    Patience(seconds, drain=drain, switch=switch).ask(look)


def open_queue(url: str, *, read_only: bool = False) -> BatchQueue:
    """The queue of the store at a URL; raises as `open_store` does."""
    from everyitem.adapters.stores.opening import open_queue as open_by_scheme

    return open_by_scheme(url, read_only=read_only)


def open_retention(url: str) -> Retention:
    """What gives up parts of the store at a URL; raises as opening the store for writing does."""
    from everyitem.adapters.stores import opening

    return opening.open_retention(url)


def open_tokens(url: str) -> TokenStore:
    """The access tokens kept in the store at a URL; raises as `open_store` does."""
    from everyitem.adapters.stores import opening

    return opening.open_tokens(url)


def examine_server(url: str) -> StoreServer | None:
    """What there is to know about the server a store is on; None for a store in a file."""
    from everyitem.adapters.stores import opening

    return opening.examine_server(url) if opening.is_on_server(url) else None


def open_monitoring(url: str, *, read_only: bool = False) -> Monitoring:
    """The store at a URL as whoever looks after it sees it."""
    from everyitem.adapters.stores.opening import open_monitoring as open_by_scheme

    return open_by_scheme(url, read_only=read_only)


def open_alerts(url: str, *, read_only: bool = False) -> AlertStore:
    """The alerts kept in the store at a URL."""
    from everyitem.adapters.stores.opening import open_alerts as open_by_scheme

    return open_by_scheme(url, read_only=read_only)


def open_inbox(url: str) -> Inbox:
    """The events that come into the store at a URL, created where nothing is yet."""
    from everyitem.adapters.stores.opening import open_inbox as open_by_scheme

    return open_by_scheme(url)


def json_log_handler(write: Callable[[str], None]) -> logging.Handler:
    """A log handler that hands JSON lines to `write`, from a thread of its own."""
    from everyitem.adapters.logs.background import BackgroundHandler
    from everyitem.adapters.logs.json_lines import JsonLines

    return BackgroundHandler(write, JsonLines())


def render_metrics(overview: Overview) -> bytes:
    """The text Prometheus scrapes. Raises `UsageError` where the extra is missing."""
    with _needing("metrics"):
        from everyitem.adapters.metrics.exposition import render
    return render(overview, now=time.time())


class Watching:
    """Who observes what one session executes. Made by `watch`, closed when the session ends."""

    def __init__(
        self,
        endpoint: "MetricsEndpoint | None",
        tracing: "Tracing | None",
        desk: AlertDesk,
        relay: "Relay | None",
        *,
        flush: float,
    ) -> None:
        """`flush`: seconds the end waits for events that are on their way."""
        self._endpoint, self._tracing, self._relay, self._flush = endpoint, tracing, relay, flush
        #: Alerts of what this session executes, and of whatever its face notices.
        self.desk = desk

    @property
    def metrics_address(self) -> str | None:
        """Where the metrics are, if they are served."""
        return None if self._endpoint is None else self._endpoint.address

    def run(self) -> tuple[list[Observer], str]:
        """The observers of one run, which begins now, and the trace it belongs to (W3C; empty without one).

        Where no spans are made, a trace the environment names is handed on as it is.
        """
        self.publish()
        observers: list[Observer] = [ItemLog(), self.desk.observer()]
        if self._endpoint is not None:
            observers.append(self._endpoint)
        if self._tracing is not None:
            spans = self._tracing.run()
            return [*observers, spans], spans.traceparent
        given = os.environ.get("TRACEPARENT", "")
        return observers, given if is_traceparent(given) else ""

    def publish(self) -> None:
        """Publish the events of the store from now on, where something takes them."""
        if self._relay is not None:
            self._relay.begin()

    def close(self) -> None:
        """Tell what is to be told, and stop serving."""
        if self._endpoint is not None:
            self._endpoint.close()
        if self._tracing is not None:
            self._tracing.close()
        if self._relay is not None:
            self._relay.close(self._flush)
        self.desk.close()


def _relay(settings: Settings, store_url: str, desk: AlertDesk) -> "Relay | None":
    """Who publishes the events of the store; None where nothing takes them."""
    if not settings.events.publisher:
        return None
    from everyitem.adapters.publishers import build_publisher
    from everyitem.engine.relay import Relay

    return Relay(
        lambda: open_outlet(store_url),
        build_publisher(settings.events),
        tries=settings.events.tries,
        limits=settings.alerts.limits,
        notice=lambda conditions: desk.notice(_EVENTS, conditions),
    )


def watch(settings: Settings, store_url: str) -> Watching:
    """Observers as the settings want them. Raises `UsageError` for what cannot be had."""
    from everyitem.adapters.alerts import build_channels

    desk = AlertDesk(settings.alerts, build_channels(settings.alerts), lambda: open_alerts(store_url))
    tracing = endpoint = None
    if settings.traces_endpoint is not None:
        with _needing("otel"):
            from everyitem.adapters.traces.export import Tracing
        tracing = Tracing(settings.traces_endpoint, item_share=settings.trace_items)
    if settings.metrics_port is not None:
        with _needing("metrics"):
            from everyitem.adapters.metrics.endpoint import MetricsEndpoint
        endpoint = MetricsEndpoint(settings.metrics_host, settings.metrics_port)
    return Watching(
        endpoint, tracing, desk, _relay(settings, store_url, desk), flush=settings.events.flush_seconds
    )


def subscribe(settings: Settings) -> Subscription | None:
    """The events of others, from a broker; None where none is listened to.

    Raises `UsageError` for a broker that cannot be had.
    """
    events = settings.events
    if not events.listen:
        return None
    from everyitem.adapters.publishers import broker_url
    from everyitem.adapters.subscriptions import build_subscription

    return build_subscription(events.publisher, broker_url(events), events.listen, events.timeout_seconds)


def look_after(settings: Settings, store_url: str) -> Watching:
    """Who publishes the events of a store and tells of what is wrong with it, whoever executes its batches.

    Raises `UsageError` for what cannot be had.
    """
    from everyitem.adapters.alerts import build_channels

    desk = AlertDesk(settings.alerts, build_channels(settings.alerts), lambda: open_alerts(store_url))
    return Watching(None, None, desk, _relay(settings, store_url, desk), flush=settings.events.flush_seconds)


@contextmanager
def _needing(extra: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise UsageError(
            f"this needs the extra {extra!r} ({error}); install it with `pip install 'everyitem[{extra}]'`"
        ) from error


def open_source(spec: SourceSpec) -> ItemSource:
    """The item source a document or `--items` asks for."""
    from everyitem.adapters.sources import open_source as open_by_kind

    return open_by_kind(spec)


def read_reference(url: str, sources: Mapping[str, Any], *, most: int) -> bytes:
    """The document behind a URL the operator allows (`[sources.http]`). Raises `SourceUnavailable`."""
    from everyitem.adapters.sources.reach import read_reference as read_by_url

    return read_by_url(url, sources, most=most)


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
    if os.environ.get(WORKER_VARIABLE):
        raise UsageError(
            "an item processor cannot run a batch inside a worker process: "
            "collect what follows as results and run it as a batch of its own afterwards"
        )
    processor = find_processor(batch.configuration.processor)
    _refuse_unfit(batch, processor)
    switch = switch or Switch()
    configuration = batch.configuration
    patience = Patience(configuration.store_patience, drain=configuration.drain, switch=switch)
    store = PatientStore(store, patience)
    learn(configuration.parameters)

    def carry_out(record: ExecutionRecord, ownership: Ownership, *, recovering: bool = False) -> Conclusion:
        # an execution that goes on takes its items from the store: corrected ones are in there
        fresh = record.runs == 1 and record.round == 1
        items = batch.items if fresh else store.items(record.execution_key)
        started = _started_items(store, record, batch, processor)
        observers, traceparent = ([], "") if watching is None else watching.run()
        return Execution(
            store,
            record,
            ownership,
            replace(batch, items=items),
            build_nodes=_node_builder(processor, started, traceparent),
            switch=switch,
            listener=listener,
            accept_damage=accept_damage,
            recovering=recovering,
            unit=processor.chunk_size or 1,
            started=started,
            meter=patience.meter,
            observers=Observers(observers),
            traceparent=traceparent,
        ).run()

    return Submission(
        store,
        batch,
        carry_out=carry_out,
        processor_code=processor.code_digest,
        switch=switch,
        settings_json=settings_json,
        source=source,
    )


def _refuse_unfit(batch: ProcessingBatch, processor: ItemProcessor) -> None:
    """Raises `UsageError` where the item processor cannot run on the nodes of the batch."""
    kinds = {node.kind for node in batch.resources.nodes}
    if not kinds.isdisjoint((NodeKind.PROCESS, NodeKind.DASK)):
        refuse_local(processor.name, processor.origin)
    if NodeKind.DASK in kinds:
        _require_dask()


def _require_dask() -> None:
    from importlib.util import find_spec

    if find_spec("distributed") is None:
        raise UsageError('nodes of kind dask need the extra dask: pip install "everyitem[dask]"')


def _started_items(
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


def _node_builder(processor: ItemProcessor, started: "StartedFile", traceparent: str) -> BuildNodes:
    budgets: list[MemoryBudget] = []

    def build(batch: ProcessingBatch, record: ExecutionRecord, slots: dict[str, int]) -> Sequence[Node]:
        from everyitem.adapters.nodes.memory_budget import MemoryBudget

        _refuse_unfit(batch, processor)
        assignment = _assign(batch, record, processor, traceparent)
        # one for all nodes, those that are allocated later included
        budget = budgets[0] if budgets else MemoryBudget(batch.configuration.max_memory_mb)
        budgets[:] = [budget]
        return [
            _build_node(spec, slots[spec.node_id], assignment, processor, batch, budget, started)
            for spec in batch.resources.nodes
        ]

    return build


def _build_node(
    spec: NodeSpec,
    slots: int,
    assignment: Assignment,
    processor: ItemProcessor,
    batch: ProcessingBatch,
    budget: "MemoryBudget",
    started: "StartedFile",
) -> Node:
    items = batch.items
    match spec.kind:
        case NodeKind.THREAD | NodeKind.ASYNC:
            from everyitem.adapters.nodes.slot_node import WORKERS_PER_SLOT

            return _slot_node(spec.kind)(
                spec,
                slots=slots,
                assignment=assignment,
                processor=processor,
                items=items,
                budget=budget,
                started=started.section(WORKERS_PER_SLOT * spec.slots),
            )
        case NodeKind.PROCESS:
            from everyitem.adapters.nodes.process_node import ProcessNode

            return ProcessNode(spec, slots=slots, assignment=assignment, items=items, budget=budget)
        case NodeKind.DASK:
            from everyitem.adapters.nodes.dask.node import DaskNode

            return DaskNode(spec, slots=slots, assignment=assignment, processor=processor, items=items)


def _slot_node(kind: NodeKind) -> "type[ThreadNode | AsyncNode]":
    if kind is NodeKind.THREAD:
        from everyitem.adapters.nodes.thread_node import ThreadNode

        return ThreadNode
    from everyitem.adapters.nodes.async_node import AsyncNode

    return AsyncNode


def _assign(
    batch: ProcessingBatch, record: ExecutionRecord, processor: ItemProcessor, traceparent: str
) -> Assignment:
    """What every worker of the batch must know."""
    configuration = batch.configuration
    number = f"@{record.execution}" if record.execution > 1 else ""
    return Assignment(
        batch_id=batch.batch_id,
        traceparent=traceparent,
        key_prefix=f"{batch.identity}{number}",
        processor=processor.name,
        origin=processor.origin,
        parameters=msgspec.json.encode(configuration.parameters),
        secrets_directory=configuration.secrets_directory,
        configuration=msgspec.json.encode(_shown_configuration(configuration)),
        resources=msgspec.json.encode(_shown_resources(batch)),
        error_policy=msgspec.json.encode(_shown_error_policy(configuration)),
        item_timeout=configuration.item_timeout,
        at_most_once=configuration.at_most_once,
        max_attempts=configuration.retry.max_retries + 1,
        named=batch.items.named,
        deadline=time.time() + configuration.timeout,
        sys_path=list(sys.path),
    )


def _shown_configuration(configuration: ProcessingConfiguration) -> dict[str, Any]:
    """`context.configuration`: the document's names, the values in force."""
    return {
        "processor": configuration.processor,
        "parallelism": configuration.parallelism,
        "itemTimeoutMs": None if configuration.item_timeout is None else configuration.item_timeout * 1000,
        "checkpointInterval": configuration.checkpoint_interval,
        "checkpointIntervalSeconds": configuration.checkpoint_interval_seconds,
        "enableCheckpointing": configuration.enable_checkpointing,
        "timeoutHours": configuration.timeout / 3600,
        "delivery": "at-most-once" if configuration.at_most_once else "at-least-once",
    }


def _shown_resources(batch: ProcessingBatch) -> dict[str, Any]:
    return {
        "nodes": [
            {"nodeId": node.node_id, "kind": node.kind, "slots": node.slots, "memoryMb": node.memory_mb}
            for node in batch.resources.nodes
        ],
        "minParallelism": batch.resources.min_parallelism,
    }


def _shown_error_policy(configuration: ProcessingConfiguration) -> dict[str, Any]:
    retry = configuration.retry
    return {
        "errorHandlingStrategy": configuration.strategy,
        "maxRetryAttempts": retry.max_retries,
        "retry": {
            "initialDelayMs": retry.initial_delay * 1000,
            "multiplier": retry.multiplier,
            "maxDelayMs": retry.max_delay * 1000,
            "jitter": retry.jitter,
        },
        "toleratedFailureCount": configuration.tolerated_failure_count,
        "toleratedFailurePercentage": configuration.tolerated_failure_percentage,
    }
