"""What happens to every batch that is executed, whichever way it was asked for."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from everyitem import compose
from everyitem.compose import Conclusion, Switch, Watching
from everyitem.faces.api.conduct import Inbox, conduct
from everyitem.faces.api.controls import Controls
from everyitem.faces.api.options import RunOptions
from everyitem.faces.api.reading import load_item_processors, named_processors, rebuild
from everyitem.faces.api.refusal import refusal
from everyitem.faces.api.remembering import remembering
from everyitem.faces.api.response import Response
from everyitem.faces.api.result_files import check_outputs, write_outputs
from everyitem.faces.api.retention import prune_by_policy
from everyitem.faces.api.views import Status
from everyitem.model.batch import ProcessingBatch
from everyitem.model.errors import EveryitemError, StoreDamaged, StoreError, UsageError
from everyitem.ports.execution import ExecutionRecord
from everyitem.ports.observer import Observer
from everyitem.ports.source import SourceOpener
from everyitem.ports.store import Store
from everyitem.settings import Settings
from everyitem.work.processors import find_processor

if TYPE_CHECKING:
    # the package loads pydantic, which nobody needs who only looks at a store
    from everyitem.faces.documents import ReadDocument


class ExecutionInterrupted(EveryitemError):
    """A switch stopped the execution before its end; everything recorded stays, and `resume` goes on."""

    def __init__(self, status: Status) -> None:
        self.batch_id = status.batch_id
        #: Where it stands now.
        self.status = status
        super().__init__(
            f"batch {status.batch_id!r} was stopped with {status.succeeded + status.failed:,} of "
            f"{status.items:,} items recorded; resume goes on from there"
        )


class Executing(Controls):
    """Executes on a thread of its own what a method of a session wants, and says what came of it."""

    def __init__(
        self, settings: Settings, *, inbox: Inbox | None = None, observer: Observer | None = None
    ) -> None:
        super().__init__(settings)
        self._inbox, self._observer = inbox, observer
        self._watches: Watching | None = None

    @property
    def metrics_address(self) -> str | None:
        """Where Prometheus finds the metrics of what this session executes; served from now on.

        None where no port was chosen. Raises `UsageError` when it cannot be had.
        """
        return self._watching.metrics_address

    @property
    def _watching(self) -> Watching:
        """Who observes what this session executes; made when first needed."""
        if self._watches is None:
            self._watches = compose.watch(self._settings, self.store_url, self._observer)
        return self._watches

    def close(self) -> None:
        """Free the connection, and tell everybody who is to be told what is still to be told."""
        if self._watches is not None:
            self._watches.close()
            self._watches = None
        super().close()

    def _rebuilding(self, record: ExecutionRecord, options: RunOptions) -> Callable[[], "ReadDocument"]:
        return lambda: rebuild(
            record, self._looking.items(record.execution_key), settings=self._settings, options=options
        )

    def _load_processors(self, options: RunOptions) -> None:
        load_item_processors(options.get("processors", self._settings.processors))

    def _execute(
        self,
        prepare: Callable[[], "ReadDocument"],
        carry_out: Callable[[Store, "ReadDocument", Switch], Conclusion],
        options: RunOptions,
        *,
        may_be_finished: bool = False,
        warnings: Sequence[str] = (),
        reads: Sequence[object] = (),
    ) -> Response:
        """Read or rebuild the batch, execute it on a thread of its own, and translate what came of it.

        `reads` are files it reads, which no output may replace.
        """
        if compose.is_inside():
            raise UsageError(
                "an item processor cannot run a batch itself; return its items or run it afterwards"
            )
        processors = named_processors(options.get("processors", self._settings.processors))
        check_outputs(options.get("out"), options.get("results"), reads=(*reads, *processors, self.store_url))
        self._load_processors(options)
        switch = options.get("switch") or Switch()
        batch_id: str | None = None
        try:
            document = prepare()
            batch_id = document.batch.identity
            said = [*map(str, document.batch.warnings), *warnings]
            if may_be_finished and (record := self._finished(document.batch)) is not None:
                # a run that was killed may have left events behind
                self._watching.publish()
                recorded = self._recorded(record, warnings=[*said, *self._damage(record)])
                return self._handed_over(recorded, options)
            find_processor(document.batch.configuration.processor)

            def work() -> Conclusion:
                # opened here because a store belongs to one thread
                store = compose.open_store(self.store_url)
                try:
                    return carry_out(store, document, switch)
                finally:
                    store.close()

            conclusion = conduct(work, switch, inbox=self._inbox)
        except UsageError:
            raise
        except EveryitemError as error:
            return self._handed_over(refusal(error, batch_id=batch_id), options)
        if self._settings.retention_days and conclusion.fresh:
            prune_by_policy(self.store_url, self._settings.retention_days)
        if conclusion.response is None:
            raise ExecutionInterrupted(Status.of(conclusion.record))
        response = Response(
            conclusion.response.to_json(),
            store_url=self.store_url,
            batch_id=conclusion.record.batch_id,
            execution=conclusion.record.execution,
            execution_key=conclusion.record.execution_key,
            fresh=conclusion.fresh,
            attached=conclusion.attached,
            warnings=said,
        )
        return self._handed_over(response, options)

    def _finished(self, batch: ProcessingBatch) -> ExecutionRecord | None:
        """The finished execution of this content: its answer takes neither processor nor writable store."""
        try:
            record = self._looking.find(batch.identity)
        except (StoreError, UsageError):  # no store yet, or one that opening it for writing mends or refuses
            return None
        if record is None or not record.status.is_finished or record.response is None:
            return None
        return record if record.content == batch.content else None

    def _remembering(self, batch_id: str) -> SourceOpener:
        """Opens sources, but for entities of a platform that this batch was accepted with."""
        try:
            record = self._looking.find(batch_id)
        except (StoreError, UsageError):  # no store yet, or one that `run` says more about
            return compose.open_source
        return remembering(self._looking, record, compose.open_source)

    def _damage(self, record: ExecutionRecord) -> tuple[str, ...]:
        """A warning where what a recorded response tells of is damaged by now."""
        if record.pruned_at is not None:
            return ()
        try:
            self._looking.recorded(record.execution_key)
        except StoreDamaged as error:
            what = str(error).partition(";")[0]
            return (f"the response is recorded, but what it tells of is damaged: {what}; see verify",)
        return ()

    @staticmethod
    def _handed_over(response: Response, options: RunOptions) -> Response:
        """The response, with the files the caller asked for; what cannot be written is a warning of it."""
        response.warnings += write_outputs(response, options.get("out"), options.get("results"))
        return response
