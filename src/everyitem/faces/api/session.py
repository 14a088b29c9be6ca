"""A session: one store and the settings in force, with a method for everything the command line does."""

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING, Any, Self, Unpack

from everyitem import compose
from everyitem.compose import Conclusion, Switch
from everyitem.faces.api import redriving, steering
from everyitem.faces.api.actor import local_actor
from everyitem.faces.api.conduct import Inbox
from everyitem.faces.api.executing import Executing
from everyitem.faces.api.forecast import Forecast, forecast
from everyitem.faces.api.options import RunOptions, check_options
from everyitem.faces.api.planning import Plan, plan_batch
from everyitem.faces.api.reading import (
    BatchInput,
    processor_is_async_if_known,
    read,
)
from everyitem.faces.api.response import Response
from everyitem.faces.api.retention import kept
from everyitem.faces.api.sampling import measure_sample
from everyitem.model.batch import ProcessingBatch
from everyitem.model.errors import (
    DocumentRefused,
    UsageError,
    WrongState,
)
from everyitem.ports.observer import Observer
from everyitem.ports.store import Store
from everyitem.settings import load_settings
from everyitem.work.processors import registered_processors

if TYPE_CHECKING:
    # the package loads pydantic, which nobody needs who only looks at a store
    from everyitem.faces.documents import ReadDocument


class Session(Executing):
    """What one can do with a store. Use it from one thread; several sessions may share a store.

    Methods that execute items return a `Response`, also for an `ERROR`. They raise `UsageError` (no such
    batch, file or setting), `TypeError` (no such argument) and `ExecutionInterrupted` (a switch stopped it).
    Every method takes `execution=` to choose an earlier execution of a batch; the latest is the default.
    """

    @classmethod
    def connect(
        cls,
        store: str | PathLike[str] | None = None,
        *,
        config: str | PathLike[str] | None = None,
        inbox: Inbox | None = None,
        observer: Observer | None = None,
        **overrides: object,
    ) -> Self:
        """A session with the settings of a file, the environment and the given store.

        `inbox` is for a face that handles signals: what `conduct` waits on. `observer` is told of what this
        session executes, beside those the settings want. `overrides` are settings the caller has decided,
        by their snake_case names; None leaves one as it is.
        """
        settings = load_settings(
            None if config is None else os.fspath(config),
            store=None if store is None else os.fspath(store),
            **overrides,
        )
        return cls(settings, inbox=inbox, observer=observer)

    @property
    def log_format(self) -> str:
        """How log records are wanted: `text` or `json`."""
        return self._settings.log_format

    # ------------------------------------------------------------- execute

    def run(
        self,
        batch: BatchInput,
        *,
        items: str | PathLike[str] | None = None,
        rerun: bool = False,
        known_as: str | None = None,
        **options: Unpack[RunOptions],
    ) -> Response:
        """Execute a batch, go on with it, or return what was recorded of it (contract section 3).

        `batch` is the path of a document (`-`: standard input), its bytes, a dict, or a `ProcessingBatch`.
        `items` names a .jsonl, .csv or .parquet file that replaces the document's; `rerun` starts a new
        execution although there is one already. `known_as` takes the place of the `batchId` in the store,
        in commands and in idempotency keys; entities of a platform that it was accepted with are its items
        for good.
        """
        check_options(options, "items", "rerun", "known_as")

        def prepare() -> "ReadDocument":
            # whether somebody has registered the processor matters only if there is something left to run
            document = read(
                batch,
                settings=self._settings,
                items=items,
                options=options,
                is_async=processor_is_async_if_known,
                open_source=compose.open_source if known_as is None else self._remembering(known_as),
            )
            return document if known_as is None else document.known_as(known_as)

        def carry_out(store: Store, document: "ReadDocument", switch: Switch) -> Conclusion:
            return compose.submit(
                store,
                document.batch,
                rerun=rerun,
                settings_json=document.settings_json,
                source=document.source,
                listener=options.get("on_progress"),
                switch=switch,
                watching=self._watching,
            )

        return self._execute(prepare, carry_out, options, may_be_finished=not rerun, reads=(batch, items))

    def resume(
        self,
        batch_id: str,
        *,
        execution: int | None = None,
        accept_damage: bool = False,
        for_service: bool = False,
        **options: Unpack[RunOptions],
    ) -> Response:
        """Go on with an execution that was stopped, paused, cancelled or ended with an `ERROR`.

        `accept_damage` processes the items of damaged checkpoints again instead of refusing to go on.
        `for_service`: nobody has asked for the end of a pause; a service carries out what is in its queue.
        """
        check_options(options, "execution", "accept_damage", "for_service")
        record = self._record(batch_id, execution)
        is_answered = record.status.is_finished and record.response is not None
        if is_answered and (record.pruned_at is not None or not accept_damage):
            return self._handed_over(self._recorded(record, warnings=self._damage(record)), options)

        def carry_out(store: Store, document: "ReadDocument", switch: Switch) -> Conclusion:
            if not for_service:
                with closing(compose.open_queue(self.store_url)) as queue:
                    steering.unpause(store, queue, record, local_actor())
            return compose.resume(
                store,
                record,
                document.batch,
                listener=options.get("on_progress"),
                switch=switch,
                watching=self._watching,
                accept_damage=accept_damage,
            )

        return self._execute(self._rebuilding(record, options), carry_out, options)

    def recover(self, batch_id: str, execution: int, **options: Unpack[RunOptions]) -> Response:
        """Go on with an execution whose process has crashed, in its window of the batch timeout.

        For whoever supervises processes; a person resumes, and thereby opens a new window. A store that is
        out of reach is waited for: the execution began on it.
        """
        check_options(options)
        compose.await_store(
            self.store_url,
            seconds=self._settings.store_patience_seconds,
            drain=self._settings.drain_seconds,
            switch=options.get("switch") or Switch(),
        )
        record = self._record(batch_id, execution)

        def carry_out(store: Store, document: "ReadDocument", switch: Switch) -> Conclusion:
            return compose.recover(
                store,
                record,
                document.batch,
                listener=options.get("on_progress"),
                switch=switch,
                watching=self._watching,
            )

        return self._execute(self._rebuilding(record, options), carry_out, options)

    def redrive(
        self,
        batch_id: str,
        *,
        execution: int | None = None,
        error: str | None = None,
        item_ids: Sequence[str] = (),
        items: str | PathLike[str] | Mapping[str, Any] | None = None,
        **options: Unpack[RunOptions],
    ) -> Response:
        """Run failed items again, as the next round with a fresh retry budget.

        All of them, or those whose failure contains `error`, or those in `item_ids`. `items` gives
        corrected payloads: a JSON lines file with an `itemId` in each object, or a dict by item id; only
        these run. With nothing to redrive the recorded response is returned.
        """
        check_options(options, "execution", "error", "item_ids", "items")
        record = self._record(batch_id, execution)
        if record.owned:
            raise WrongState(f"batch {batch_id!r} is {record.status}; wait for its end, or cancel it first")
        if record.counters.failed or item_ids or items is not None:
            kept(record)
        corrected: dict[str, bytes] = {}
        if isinstance(items, Mapping):
            corrected = redriving.correction_texts(items)
        elif items is not None:
            corrected = redriving.read_corrections(items, self._looking.items(record.execution_key))
        selection = redriving.select_failed(
            self._looking, record, error=error, item_ids=item_ids, corrected=corrected
        )
        if not selection.indices and record.response is not None:
            recorded = self._recorded(record, warnings=_passed_over(selection.passed_over))
            return self._handed_over(recorded, options)

        def carry_out(store: Store, document: "ReadDocument", switch: Switch) -> Conclusion:
            self._note(record, "redrive", items=len(selection.indices), corrected=len(selection.corrections))
            return compose.redrive(
                store,
                record,
                document.batch,
                indices=selection.indices,
                corrections=selection.corrections,
                listener=options.get("on_progress"),
                switch=switch,
                watching=self._watching,
            )

        return self._execute(
            self._rebuilding(record, options),
            carry_out,
            options,
            warnings=_passed_over(selection.passed_over),
            reads=(items,),
        )

    def rerun(
        self, batch_id: str, *, execution: int | None = None, **options: Unpack[RunOptions]
    ) -> Response:
        """Execute a stored batch once more from the beginning, as its next execution."""
        check_options(options, "execution")
        record = kept(self._record(batch_id, execution))

        def carry_out(store: Store, document: "ReadDocument", switch: Switch) -> Conclusion:
            self._note(record, "rerun")
            return compose.submit(
                store,
                document.batch,
                rerun=True,
                settings_json=document.settings_json,
                source=record.source,
                listener=options.get("on_progress"),
                switch=switch,
                watching=self._watching,
            )

        return self._execute(self._rebuilding(record, options), carry_out, options)

    def plan(
        self,
        batch: BatchInput,
        *,
        items: str | PathLike[str] | None = None,
        sample: int = 0,
        **options: Unpack[RunOptions],
    ) -> Plan:
        """Validate a batch, partition it, say which settings are in force, and what to expect.

        Nothing is stored. With `sample` so many items really run, some one at a time, some side by side, and
        their outcomes are forgotten; without it the latest finished batch of the processor tells how long
        items take, where there is one.

        Raises:
            DocumentRefused: the document is not acceptable; carries all problems.
            UsageError: the sample cannot run.
        """
        check_options(options, "items", "sample")
        self._load_processors(options)
        document = read(
            batch, settings=self._settings, items=items, options=options, is_async=processor_is_async_if_known
        )
        expected = self._forecast(document.batch, sample)
        return plan_batch(document, _unregistered(document.batch.configuration.processor), expected)

    def is_content_of(self, batch: BatchInput, batch_id: str) -> bool:
        """Whether the latest execution of `batch_id` is of this content: items, processor, parameters.

        False also for a document that would be refused, or where there is no such execution.
        """
        try:
            document = read(
                batch,
                settings=self._settings,
                items=None,
                options={},
                is_async=processor_is_async_if_known,
                open_source=self._remembering(batch_id),
            )
            return self._record(batch_id, None).content == document.batch.content
        except (DocumentRefused, UsageError):
            return False

    # ------------------------------------------------------------- how it is done

    def _forecast(self, batch: ProcessingBatch, sample: int) -> Forecast | None:
        if not sample:
            earlier = self._history(batch.configuration.processor)
            return None if earlier is None else forecast(batch, [earlier], basis="history", now=time.time())

        def run(part: ProcessingBatch, store_url: str) -> Response:
            with Session(replace(self._settings, store=store_url), inbox=self._inbox) as session:
                return session.run(part)

        return forecast(batch, measure_sample(batch, sample, run), basis="sample", now=time.time())


def _passed_over(item_ids: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"item {item_id!r} has not failed and is left as it is" for item_id in item_ids)


def _unregistered(processor: str) -> tuple[str, ...]:
    if any(one.name == processor for one in registered_processors()):
        return ()
    return (f"item processor {processor!r} is not registered here; `run` needs --processors to find it",)
