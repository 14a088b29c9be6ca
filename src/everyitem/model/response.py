"""The success and the error response, in exactly the specification's shape (section 3).

`consolidate` computes them from the facts of an ended execution. The field order is the order in the
printed document; further keys follow the specification's.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from everyitem.model.checks import Checks, ExecutionFacts, check_execution
from everyitem.model.errors import ErrorCode, Problem

#: Texts one response lists before it only counts the rest (contract section 2).
MOST_TEXTS = 1000


class ExecutionResults(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What came of the items."""

    batch_completed: bool
    items_processed: int
    items_successful: int
    items_failed: int
    #: itemsSuccessful / itemsProcessed, 6 decimals; never 1 while there are failures.
    success_rate: float


class ItemProcessingTime(msgspec.Struct, frozen=True):
    """Percentiles of the items' own time in milliseconds."""

    p50: int | float = 0
    p95: int | float = 0
    p99: int | float = 0
    max: int | float = 0


class Availabilities(msgspec.Struct, frozen=True):
    """Shares of the time they were needed, 6 decimals, never rounded up to 1 after an outage."""

    store: int | float = 1
    nodes: int | float = 1


class ExecutionMetadata(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How the items were executed. Times in milliseconds, over all runs."""

    execution_duration: int
    average_item_time: int | float
    #: Busy time of all workers over the duration.
    parallelism_achieved: int | float
    checkpoints_created: int
    runs: int
    items_retried: int
    steals: int
    item_processing_time: ItemProcessingTime
    control_totals: dict[str, Any]
    tolerance_exceeded: bool
    checks: Checks
    availability: Availabilities = Availabilities()


class Result(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The `result` of a success."""

    processed_entity: str
    #: RFC 3339, UTC, with `Z`.
    processing_timestamp: str
    execution_results: ExecutionResults
    execution_metadata: ExecutionMetadata


class ErrorDetails(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Everything that went wrong, by kind; all four lists are always there."""

    system_errors: list[str] = []
    resource_errors: list[str] = []
    data_errors: list[str] = []
    timeout_errors: list[str] = []


class SuccessResponse(msgspec.Struct, frozen=True, kw_only=True, tag_field="status", tag="SUCCESS"):
    """Every item has an outcome, and the checks say so."""

    result: Result

    @property
    def is_success(self) -> bool:
        return True

    @property
    def results(self) -> ExecutionResults:
        """What came of the items."""
        return self.result.execution_results

    def to_dict(self) -> dict[str, Any]:
        """The response as plain JSON values."""
        return _to_dict(self)

    def to_json(self) -> bytes:
        """The response as one JSON text."""
        return msgspec.json.encode(self)


class ErrorResponse(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename="camel",
    omit_defaults=True,
    tag_field="status",
    tag="ERROR",
):
    """The batch was refused or did not end well. After execution began, results and metadata stand beside."""

    error_code: ErrorCode
    error_message: str
    details: ErrorDetails
    execution_results: ExecutionResults | None = None
    execution_metadata: ExecutionMetadata | None = None

    @property
    def is_success(self) -> bool:
        return False

    @property
    def results(self) -> ExecutionResults | None:
        """What came of the items; None where execution never began."""
        return self.execution_results

    def to_dict(self) -> dict[str, Any]:
        """The response as plain JSON values."""
        return _to_dict(self)

    def to_json(self) -> bytes:
        """The response as one JSON text."""
        return msgspec.json.encode(self)


Response = SuccessResponse | ErrorResponse

_decoder: msgspec.json.Decoder[Response] = msgspec.json.Decoder(Response)


def parse_response(text: bytes) -> Response:
    """A recorded response. Raises `msgspec.MsgspecError` for a text that is none."""
    return _decoder.decode(text)


class ExecutionFailure(msgspec.Struct, frozen=True, kw_only=True):
    """Why an execution did not end in success: its code, one sentence, and what there is to list."""

    code: ErrorCode
    message: str
    #: Texts to list; each goes to the list of its own code. Empty: the message itself is listed.
    causes: Sequence[Problem] = ()


def consolidate(
    facts: ExecutionFacts, *, ended_at: float, failure: ExecutionFailure | None = None
) -> Response:
    """The response to an ended execution. `ended_at` is epoch seconds.

    Without a `failure` it is a success, unless a deciding check failed: then it is a SYSTEM_ERROR naming it.
    """
    checks = check_execution(facts)
    results, metadata = _results(facts), _metadata(facts, checks)
    if failure is None and (faults := checks.failures()):
        failure = ExecutionFailure(
            code=ErrorCode.SYSTEM_ERROR,
            message="Batch execution ended, but its results cannot be trusted: " + "; ".join(faults),
            causes=[Problem("", fault, ErrorCode.SYSTEM_ERROR) for fault in faults],
        )
    if failure is None:
        return SuccessResponse(
            result=Result(
                processed_entity="ProcessingBatch",
                processing_timestamp=rfc3339(ended_at),
                execution_results=results,
                execution_metadata=metadata,
            )
        )
    causes = failure.causes or [Problem("", failure.message, failure.code)]
    return ErrorResponse(
        error_code=failure.code,
        error_message=_printable(failure.message),
        details=list_problems(causes),
        execution_results=results,
        execution_metadata=metadata,
    )


def refuse(code: ErrorCode, message: str, problems: Sequence[Problem]) -> ErrorResponse:
    """The response to a batch that was never executed."""
    return ErrorResponse(error_code=code, error_message=_printable(message), details=list_problems(problems))


def list_problems(problems: Sequence[Problem]) -> ErrorDetails:
    """Problems in the lists of their kinds; from the 1,001st on only counted, where that one would stand."""
    lists: dict[str, list[str]] = {name: [] for name in ErrorDetails.__struct_fields__}
    for problem in problems[:MOST_TEXTS]:
        lists[_list_of(problem)].append(_printable(str(problem)))
    if len(problems) > MOST_TEXTS:
        lists[_list_of(problems[MOST_TEXTS])].append(f"and {len(problems) - MOST_TEXTS} more")
    return ErrorDetails(**lists)


_LISTS: Mapping[ErrorCode, str] = {
    ErrorCode.SYSTEM_ERROR: "system_errors",
    ErrorCode.RESOURCE_ERROR: "resource_errors",
    ErrorCode.TIMEOUT_ERROR: "timeout_errors",
}


def _list_of(problem: Problem) -> str:
    return _LISTS.get(problem.code, "data_errors")


def _results(facts: ExecutionFacts) -> ExecutionResults:
    return ExecutionResults(
        batch_completed=facts.processed == facts.items,
        items_processed=facts.processed,
        items_successful=facts.succeeded,
        items_failed=facts.failed,
        success_rate=success_rate(facts.succeeded, facts.failed, items=facts.items),
    )


def success_rate(succeeded: int, failed: int, *, items: int) -> float:
    """6 decimals, never rounded up to 1 while there are failures; 1.0 for an empty batch."""
    processed = succeeded + failed
    if processed == 0:
        # an empty batch is a success; one of which nothing was processed is none
        return 0.0 if items else 1.0
    rate = round(succeeded / processed, 6)
    return min(rate, 0.999999) if failed else rate


def _metadata(facts: ExecutionFacts, checks: Checks) -> ExecutionMetadata:
    average = facts.active_ms / facts.processed if facts.processed else 0.0
    return ExecutionMetadata(
        execution_duration=facts.active_ms,
        average_item_time=_plain(average, 3),
        parallelism_achieved=_plain(facts.parallelism_achieved, 2),
        checkpoints_created=facts.checkpoints,
        runs=facts.runs,
        items_retried=facts.retried,
        steals=facts.steals,
        item_processing_time=processing_time(facts.durations_us),
        control_totals={name: total.to_dict() for name, total in facts.totals.items()},
        tolerance_exceeded=facts.tolerated is not None and facts.failed > facts.tolerated,
        checks=checks,
        availability=Availabilities(
            shown_share(facts.store_availability), shown_share(facts.node_availability)
        ),
    )


def shown_share(share: float) -> int | float:
    """6 decimals, never rounded up to 1."""
    return 1 if share >= 1 else min(_plain(share, 6), 0.999999)


def processing_time(durations_us: Sequence[int]) -> ItemProcessingTime:
    """Nearest-rank percentiles of a sorted sample."""
    if not durations_us:
        return ItemProcessingTime()
    last = len(durations_us) - 1
    p50, p95, p99, most = (
        _plain(durations_us[min(last, max(0, math.ceil(share * len(durations_us)) - 1))] / 1000, 3)
        for share in (0.5, 0.95, 0.99, 1.0)
    )
    return ItemProcessingTime(p50=p50, p95=p95, p99=p99, max=most)


def _plain(value: float, decimals: int) -> int | float:
    """Rounded; a whole number without a fraction, as the specification prints it (720, not 720.0)."""
    rounded = round(value, decimals)
    return int(rounded) if rounded.is_integer() else rounded


def rfc3339(moment: float) -> str:
    """Epoch seconds as an RFC 3339 timestamp in UTC, to the millisecond where there are any."""
    at = datetime.fromtimestamp(moment, UTC)
    text = at.isoformat(timespec="milliseconds" if at.microsecond >= 1000 else "seconds")
    return text.removesuffix("+00:00") + "Z"


def _printable(text: str) -> str:
    """A text that can be encoded: lone surrogates (from exception messages, file names) become `?`."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _to_dict(response: Response) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(response)
    return plain
