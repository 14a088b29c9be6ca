"""The processors of the member: one entity in, through the Python API, and what is to be answered out.

A batch that ran and failed is an *outcome*: the platform would discard the entity of a failed calculation,
and with it the reason. A *refusal* means that nothing ran here, or that it shall be asked again.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any, Final

import msgspec

from everyitem import compose
from everyitem.compose import Switch
from everyitem.faces.api.executing import ExecutionInterrupted
from everyitem.faces.api.options import RunOptions
from everyitem.faces.api.response import Response
from everyitem.faces.api.session import Session
from everyitem.faces.api.views import Status
from everyitem.faces.cyoda.delivering import Delivering, told
from everyitem.faces.cyoda.entity import Entity, EntityStatus, Outcome
from everyitem.faces.cyoda.messages import LARGEST_ANSWER, Request, printable
from everyitem.faces.cyoda.options import CyodaOptions
from everyitem.faces.cyoda.refusal import Refusal
from everyitem.model.errors import (
    DocumentRefused,
    ErrorCode,
    EveryitemError,
    StoreError,
    UnknownProcessor,
    UsageError,
)
from everyitem.model.identity import entity_identity
from everyitem.model.status import ExecutionStatus
from everyitem.settings import Settings
from everyitem.work.processors import find_processor

EXECUTE: Final = "executeBatchProcessing"
INITIALIZE: Final = "initializeBatch"
PROCESSORS: Final = (EXECUTE, INITIALIZE)

#: Failed items listed in the entity; all of them are counted, and the store has them all.
_LISTED: Final = 100
#: Texts of one kind in `executionError.details`, and characters of one text anywhere in the entity.
_TEXTS: Final = 25
_TEXT: Final = 300
#: Bytes of one text at worst: JSON writes a control character as six.
_WIDEST: Final = 6 * _TEXT + 100
#: Bytes an outcome may add to an entity: every list full, two texts a failed item, and the metadata.
RESULT_ROOM: Final = 2 * _LISTED * _WIDEST + 5 * (_TEXTS + 1) * _WIDEST + (32 << 10)

#: States with an answer that stays as it is until somebody asks for another run.
_ENDS: Final = frozenset(
    {
        ExecutionStatus.COMPLETED,
        ExecutionStatus.COMPLETED_WITH_ERRORS,
        ExecutionStatus.FAILED,
        ExecutionStatus.CANCELLED,
    }
)

_log = logging.getLogger("everyitem")


def check_size(entity: Entity) -> None:
    """Refuse an entity that could not come back with its results, before anything runs."""
    room = LARGEST_ANSWER - RESULT_ROOM
    if entity.size > room:
        raise Refusal(
            "ENTITY_TOO_LARGE",
            f"the entity has {entity.size:,} bytes and must come back whole; the platform takes answers of "
            f"{LARGEST_ANSWER:,} bytes, which leaves {room:,} for the entity. Leave batchItems empty and say "
            "by itemSource where the items are: entities (cyoda-search, cyoda-entities) or a file",
            retryable=False,
        )


class BatchProcessor:
    """Carries out the processors of one member. Every call may come from a thread of its own."""

    def __init__(self, settings: Settings, options: CyodaOptions) -> None:
        # each request has a session of its own, and only one of them could have the port
        self._settings = replace(
            settings, metrics_port=None, sources=with_platform(settings.sources, options)
        )
        self._options = options
        self._delivering = Delivering(lambda: compose.open_sink(options.results, options))

    def stop(self) -> None:
        """Deliver no more results; whoever waits for them shall ask again."""
        self._delivering.stop.set()

    def execute(self, entity: Entity, request: Request, *, asked_at: float, switch: Switch) -> Outcome:
        """Execute, resume or redrive the batch of an entity, or answer from its record.

        `asked_at` is when the request came (`time.monotonic`). Raises `Refusal`.
        """
        identity = entity_identity(entity.batch_id, tenant=request.tenant, entity_id=request.entity_id)
        document = self._document(entity, request)
        how: RunOptions = {"processors": (), "switch": switch}
        if (hours := self._hours(entity, request, asked_at)) is not None:
            how["timeout_hours"] = hours
        self._delivering.check(str(entity.item_source.get("kind", "inline")))
        with Session(self._settings) as session:
            try:
                response = self._response(session, identity, document, entity, how)
                return self._outcome(session, identity, response, request)
            except ExecutionInterrupted as interrupted:
                raise Refusal("MEMBER_STOPPING", f"{interrupted}", retryable=True) from None
            except StoreError as error:
                raise Refusal("STORE_UNAVAILABLE", str(error), retryable=True) from error

    def initialize(self, entity: Entity, request: Request) -> bytes:
        """The entity with resources and plan filled in, as far as it leaves them open. Raises `Refusal`."""
        blanks: dict[str, Any] = {
            name: {} for name in ("allocatedResources", "executionPlan") if not entity.has(name)
        }
        document = self._document(entity, request, blanks)
        with Session(self._settings) as session:
            try:
                plan = session.plan(document, processors=())
                find_processor(plan.processor)
            except (DocumentRefused, UnknownProcessor, UsageError) as error:
                may_pass = isinstance(error, DocumentRefused) and error.may_pass
                code = "ITEMS_UNAVAILABLE" if may_pass else "INVALID_BATCH"
                raise Refusal(code, str(error), retryable=may_pass) from error
            average = _average_item_time(session, plan.processor)
        estimate = None if average is None else round(average * plan.items / max(1, plan.parallelism))
        read = msgspec.json.decode(document, type=dict[str, msgspec.Raw])
        resources: dict[str, Any] = msgspec.json.decode(read["allocatedResources"])
        execution: dict[str, Any] = msgspec.json.decode(read["executionPlan"])
        if not resources.get("nodes") and not resources.get("allocatedNodes"):
            resources["nodes"] = [node.to_dict() for node in plan.nodes]
        if not execution.get("partitions"):
            execution["partitions"] = [one.to_dict() for one in plan.partitions]
            execution["partitionCount"] = len(plan.partitions)
        execution["estimatedDurationMs"] = estimate
        return entity.with_fields({"allocatedResources": resources, "executionPlan": execution})

    # ------------------------------------------------------------- input

    def warnings(self, request: Request) -> Sequence[str]:
        """What is odd about a request and does not stop it."""
        name = request.parameters.get("processParamId")
        if name is None or str(name) in self._options.process_parameters:
            return ()
        return (f"no process-parameters are set up for processParamId {name!r}; none are used",)

    def _document(self, entity: Entity, request: Request, changes: Mapping[str, Any] | None = None) -> bytes:
        name = str(request.parameters.get("processParamId"))
        defaults = self._options.process_parameters.get(name, {})
        return entity.document(defaults, {**(changes or {}), **self._source(entity)})

    def _source(self, entity: Entity) -> dict[str, Any]:
        """`itemSource` with its file below the operator's folder; other files are not for entities."""
        source = entity.item_source
        if source.get("kind") not in ("jsonl", "csv", "parquet", "directory") and not (
            source.get("kind") == "cyoda-entities" and "ids" not in source
        ):
            return {}
        folder = self._options.source_folder
        if folder is None:
            raise Refusal(
                "SOURCE_REFUSED",
                "itemSource names a file, and this member has no cyoda.source-folder to take files from",
                retryable=False,
            )
        base = Path(folder).resolve()
        file = (base / str(source.get("reference", ""))).resolve()
        if not file.is_relative_to(base):
            raise Refusal(
                "SOURCE_REFUSED", "itemSource names a file outside cyoda.source-folder", retryable=False
            )
        return {"itemSource": {**source, "reference": str(file)}}

    def _hours(self, entity: Entity, request: Request, asked_at: float) -> float | None:
        """Hours of the smaller of the context's deadline, less what was waited, and the batch's own limit."""
        deadline = request.parameters.get("deadlineMs")
        if not isinstance(deadline, int | float) or isinstance(deadline, bool) or deadline <= 0:
            return None
        left = deadline / 1000 - (time.monotonic() - asked_at)
        if left <= 0:
            raise Refusal("DEADLINE_PASSED", "its deadline passed before its turn came", retryable=True)
        return min(left / 3600, entity.timeout_hours or self._settings.timeout_hours)

    # ------------------------------------------------------------- execution

    def _response(
        self, session: Session, identity: str, document: bytes, entity: Entity, how: RunOptions
    ) -> Response:
        """Which call it takes: an entity that carries the recorded outcome is meant to run again."""
        status = _find(session, identity)
        if status is None or (recorded := session.response(identity)) is None:
            return session.run(document, known_as=identity, **how)
        carries = entity.reference == reference_of(identity, status)
        # what neither call below would notice: other items, which `run` refuses by name
        if status.state in _ENDS and session.is_content_of(document, identity):
            if not carries:
                return recorded  # the platform never got this answer
            if status.state is ExecutionStatus.COMPLETED_WITH_ERRORS:
                return session.redrive(identity, **how)
        return session.run(document, known_as=identity, **how)

    # ------------------------------------------------------------- output

    def _outcome(self, session: Session, identity: str, response: Response, request: Request) -> Outcome:
        said = response.to_dict()
        if response.may_pass:
            raise Refusal("ITEMS_UNAVAILABLE", str(response.error_message), retryable=True)
        status = None if response.execution is None else session.status(identity)
        if status is None and said.get("errorCode") == ErrorCode.SYSTEM_ERROR:
            raise Refusal("STORE_UNAVAILABLE", str(response.error_message), retryable=True)
        delivery = self._delivering.deliver(session, status, response, request)
        metadata = {
            **response.metadata,
            **({} if delivery is None else {"resultsDelivered": told(delivery)}),
            "engineVersion": f"everyitem {version('everyitem')}",
            "processParamId": request.parameters.get("processParamId"),
            "resultReference": None if status is None else reference_of(identity, status),
        }
        failed = response.items_failed or 0
        undelivered = 0 if delivery is None else delivery.refused
        if response.status == "ERROR":
            verdict = EntityStatus.FAILED
        else:
            verdict = EntityStatus.COMPLETED_WITH_ERRORS if failed + undelivered else EntityStatus.COMPLETED
        return Outcome(
            status=verdict,
            timestamp=said.get("result", {}).get("processingTimestamp"),
            results=response.results_summary,
            metadata=metadata,
            failed_items=_listed(session, identity) if failed else (),
            error=_error(said) if verdict is EntityStatus.FAILED else None,
        )


def with_platform(sources: Mapping[str, Any], options: CyodaOptions) -> Mapping[str, Any]:
    """`[sources]`, where entities come from the member's own platform unless it names another one."""
    if options.url is None or "cyoda" in sources:
        return sources
    access = {
        "url": options.url,
        "token-url": options.token_url,
        "client-id": options.client_id,
        "client-secret-file": options.client_secret_file,
    }
    return {**sources, "cyoda": {name: value for name, value in access.items() if value is not None}}


def reference_of(identity: str, status: Status) -> str:
    """Names one recorded outcome: it changes with every run and round, and tells what an entity carries."""
    return f"{identity}@{status.execution}.{status.round}.{status.runs}"


def _find(session: Session, identity: str) -> Status | None:
    try:
        return session.status(identity)
    except (UsageError, StoreError):  # no store yet, none of that name, or one `run` says more about
        return None


def _listed(session: Session, identity: str) -> list[dict[str, Any]]:
    return [
        {
            "itemId": printable(failed.item_id, _TEXT),
            "errorCode": failed.error.code,
            "message": printable(f"{failed.error.type}: {failed.error.message}", _TEXT),
            "attempts": failed.attempts,
        }
        for failed in islice(session.failures(identity), _LISTED)
    ]


def _error(said: Mapping[str, Any]) -> dict[str, Any]:
    """The specification's error response, its lists short enough for an entity."""
    details = {
        kind: [printable(text, _TEXT) for text in texts[:_TEXTS]]
        + ([f"and {len(texts) - _TEXTS:,} more"] if len(texts) > _TEXTS else [])
        for kind, texts in said["details"].items()
    }
    message = printable(said["errorMessage"], 4 * _TEXT)
    return {"errorCode": said["errorCode"], "errorMessage": message, "details": details}


def _average_item_time(session: Session, processor: str) -> float | None:
    """Milliseconds an item of this processor took in the latest finished execution; None without one."""
    try:
        return session.average_item_time(processor)
    except EveryitemError as error:
        _log.warning("no estimate of the duration: %s", error)
        return None
