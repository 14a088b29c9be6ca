"""From a wish to a conclusion: create, resume, attach, or answer from the record (contract section 3).

Two processes given the same batch: the one that gets the ownership executes, the other waits and answers
with the same response. A dead owner is replaced by whoever notices first.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Protocol

from everyitem.engine.execution import Conclusion
from everyitem.engine.messages import CancelAsked, PauseAsked, ResumeAsked, StopAsked
from everyitem.engine.switch import Switch
from everyitem.model.batch import ProcessingBatch
from everyitem.model.errors import ContentDiffers, StoreDamaged, UsageError
from everyitem.model.response import parse_response
from everyitem.model.status import ExecutionStatus
from everyitem.ports.control import ControlKind
from everyitem.ports.execution import ExecutionRecord, NewExecution
from everyitem.ports.store import Ownership, Store

#: Seconds between two looks at an execution another process is carrying out.
LOOK = 0.2

_log = logging.getLogger("everyitem")


class CarryOut(Protocol):
    """Carries out one run of an owned execution; `recovering` when nobody asked for the run."""

    def __call__(
        self, record: ExecutionRecord, ownership: Ownership, *, recovering: bool = False
    ) -> Conclusion: ...


class Submission:
    """One batch asked for by one caller."""

    def __init__(
        self,
        store: Store,
        batch: ProcessingBatch,
        *,
        carry_out: CarryOut,
        processor_code: str,
        switch: Switch,
        settings_json: bytes = b"{}",
        source: bytes | None = None,
    ) -> None:
        """`processor_code` is the digest of the processor's code, to warn when it has changed."""
        self._store, self._batch, self._carry_out = store, batch, carry_out
        self._processor_code, self._switch = processor_code, switch
        self._settings_json, self._source = settings_json, source

    def submit(self, *, rerun: bool = False) -> Conclusion:
        """Execute the batch, go on with it, wait for who does, or return its recorded response.

        Raises `ContentDiffers` when another content has that id, `UsageError` when a rerun is asked for
        while an execution is being carried out.
        """
        latest = self._store.find(self._batch.identity)
        while latest is None or rerun:
            if latest is not None:
                self._check_content(latest)
                if latest.owned:
                    raise UsageError(
                        f"batch {latest.batch_id!r} is being executed right now; "
                        "cancel it or wait for its end before a rerun"
                    )
            created = self._create(1 if latest is None else latest.execution + 1)
            if created is not None:
                return self._carry_out(*created)
            latest, rerun = self._store.find(self._batch.identity), False
        self._check_content(latest)
        return self._go_on(latest)

    def resume(self, record: ExecutionRecord, *, repair: bool = False) -> Conclusion:
        """Go on with an execution that is there; a finished one answers from its record.

        With `repair`, a finished one whose checkpoints are damaged is carried out again for the items
        of the damaged ones.
        """
        if repair and record.status.is_finished and self._is_damaged(record):
            ownership = self._store.claim(record.execution_key)
            if ownership is not None:
                return self._carry_out(self._reread(record), ownership)
        return self._go_on(record)

    def recover(self, record: ExecutionRecord) -> Conclusion:
        """Go on with an execution whose process has died: nobody has asked, so no new window opens."""
        return self._go_on(record, recovering=True)

    def _is_damaged(self, record: ExecutionRecord) -> bool:
        try:
            self._store.recorded(record.execution_key)
        except StoreDamaged:
            return True
        return False

    def redrive(
        self, record: ExecutionRecord, indices: Sequence[int], corrections: Mapping[int, bytes]
    ) -> Conclusion:
        """Open the next round over some failed items and carry it out.

        With no item to redrive it answers from the record, or goes on with a round that was opened and has
        not answered yet. Raises `UsageError` when another process is carrying the execution out.
        """
        if not indices and record.response is not None:
            return _recorded(record, attached=False)
        if not indices:
            return self._go_on(record)
        ownership = self._store.claim(record.execution_key)
        if ownership is None:
            raise UsageError(f"batch {record.batch_id!r} is being executed right now; wait for its end")
        try:
            self._store.open_round(ownership, indices, corrections)
        except BaseException:
            ownership.release()
            raise
        return self._carry_out(self._reread(record), ownership)

    def _create(self, execution: int) -> tuple[ExecutionRecord, Ownership] | None:
        batch = self._batch
        return self._store.create(
            NewExecution(
                batch_id=batch.identity,
                execution=execution,
                content=batch.content,
                items_digest=batch.items.digest,
                item_count=len(batch.items),
                named=batch.items.named,
                processor=batch.configuration.processor,
                processor_code=self._processor_code,
                envelope=batch.envelope,
                settings=self._settings_json,
                source=self._source,
            ),
            batch.items,
        )

    def _check_content(self, record: ExecutionRecord) -> None:
        if record.content != self._batch.content:
            raise ContentDiffers(
                f"batch {record.batch_id!r} was accepted with other content (items, processor or "
                "parameters differ); nothing was touched - use another batchId for other content"
            )

    def _go_on(self, record: ExecutionRecord, *, recovering: bool = False) -> Conclusion:
        """Resume as owner, or wait for the owner's response."""
        attached = False
        while True:
            record = self._reread(record)
            if has_answered(record, to_waiting=(attached or recovering) and not record.owned):
                return _recorded(record, attached=attached)
            ownership = self._store.claim(record.execution_key)
            if ownership is not None:
                record = self._reread(record)
                if has_answered(record, to_waiting=attached or recovering):
                    # it ended between the look and the claim: nothing is left to carry out
                    ownership.release()
                    return _recorded(record, attached=attached)
                if self._processor_code != record.processor_code:
                    _log.warning(
                        "the code of item processor %r has changed since batch %r was accepted; "
                        "items without an outcome run with the new code",
                        record.processor,
                        record.batch_id,
                    )
                return self._carry_out(record, ownership, recovering=attached or recovering)
            if not attached:
                attached = True
                _log.warning("batch %r is being executed by another process; waiting", record.batch_id)
            if self._pass_on_requests(record):
                return Conclusion(record, ExecutionStatus.INTERRUPTED, None, fresh=False, attached=True)
            time.sleep(LOOK)

    def _pass_on_requests(self, record: ExecutionRecord) -> bool:
        """While waiting: what is asked here is meant for the owner; True when the waiting shall end."""
        while (request := self._switch.take()) is not None:
            match request:
                case StopAsked():
                    return True
                case PauseAsked():
                    kind = ControlKind.PAUSE
                case ResumeAsked():
                    kind = ControlKind.RESUME
                case CancelAsked():
                    kind = ControlKind.CANCEL
            self._store.request(record.execution_key, kind, "an attached caller")
        return False

    def _reread(self, record: ExecutionRecord) -> ExecutionRecord:
        return self._store.find(record.batch_id, record.execution) or record


def has_answered(record: ExecutionRecord, *, to_waiting: bool) -> bool:
    """Whether there is nothing left to do but to pass the recorded response on.

    To who has waited for another process (`to_waiting`) its ERROR is the answer, too; to anybody else an
    execution that ended with an ERROR is one to go on with.
    """
    if record.response is None:
        return False
    ends = {ExecutionStatus.FAILED, ExecutionStatus.CANCELLED} if to_waiting else set()
    return record.status.is_finished or record.status in ends


def _recorded(record: ExecutionRecord, *, attached: bool) -> Conclusion:
    response = parse_response(record.response) if record.response else None
    return Conclusion(record, record.status, response, fresh=False, attached=attached)
