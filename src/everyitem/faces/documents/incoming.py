"""Events that come in: CloudEvents 1.0 in JSON, read strictly (contract section 6)."""

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Final, Literal

import msgspec

from everyitem.faces.documents.allocations import AllocationRefused, read_allocation
from everyitem.faces.documents.strict_json import find_faults, parse_leniently
from everyitem.model.errors import ErrorCode, UsageError
from everyitem.ports.completions import ToldFailure
from everyitem.ports.inbox import IncomingEvent, ItemCompleted, ResourcesGiven
from everyitem.work.results import MAX_DEPTH, MAX_RESULT_BYTES

ITEM_PROCESSING_COMPLETED: Final = "ItemProcessingCompleted"
RESOURCES_ALLOCATED: Final = "ResourcesAllocated"
BATCH_INITIALIZED: Final = "BatchInitialized"

#: Events of one file; more of them are more files.
MAX_EVENTS: Final = 100_000

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
#: What the databases hold in their integers, and more than anybody counts.
_Count = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
_ITEM_CODES: Final = frozenset(
    (ErrorCode.ITEM_ERROR, ErrorCode.TIMEOUT_ERROR, ErrorCode.RESOURCE_ERROR, ErrorCode.SYSTEM_ERROR)
)


class EventRefused(UsageError):
    """An event that says nothing that could be done; the message says where and why."""


class _Envelope(msgspec.Struct, frozen=True):
    specversion: Literal["1.0"]
    id: _Name
    source: _Name
    type: _Name
    data: msgspec.Raw = msgspec.Raw(b"")
    #: Where the data is, when it does not come along (CloudEvents' extension for claim checks).
    dataref: _Name | None = None


class BatchBrought(msgspec.Struct, frozen=True, kw_only=True):
    """A `BatchInitialized`: a batch to be executed. Which one it is, its document says."""

    source: str
    event_id: str
    #: The batch document, or else where it is.
    document: bytes = b""
    reference: str | None = None

    def about(self, batch_id: str) -> IncomingEvent:
        """How the event is known when it comes again."""
        return IncomingEvent(
            source=self.source, event_id=self.event_id, type=BATCH_INITIALIZED, batch_id=batch_id
        )


#: What an event says: something of a batch by its id, or that there is one.
Said = tuple[IncomingEvent, ItemCompleted | ResourcesGiven] | BatchBrought


class _Error(msgspec.Struct, frozen=True):
    message: str
    code: ErrorCode = ErrorCode.ITEM_ERROR
    type: _Name = "ItemFailed"
    retryable: bool = False


class _Completed(msgspec.Struct, frozen=True, rename="camel"):
    batch_id: _Name
    item_id: _Name
    attempt: _Count
    status: Literal["SUCCEEDED", "FAILED"]
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: _Error | msgspec.UnsetType = msgspec.UNSET
    #: Ours beside the contract's: for batches that are run again while events of before are on their way.
    execution: _Count | None = None


_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_completed = msgspec.json.Decoder(_Completed).decode
_decode_array = msgspec.json.Decoder(list[msgspec.Raw]).decode


def split_events(text: bytes) -> Iterator[bytes]:
    """The texts of the events in a file: one object, an array of them, or one on each line.

    Raises `EventRefused` for an array that is not JSON, and for too many.
    """
    stripped = text.strip()
    if stripped.startswith(b"["):
        try:
            parts = [bytes(part) for part in _decode_array(stripped)]
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise EventRefused(f"the events are not JSON: {error}") from error
    elif _is_one(stripped):
        parts = [stripped] if stripped else []
    else:
        parts = [line for line in stripped.splitlines() if line.strip()]
    if len(parts) > MAX_EVENTS:
        raise EventRefused(f"{len(parts):,} events; at most {MAX_EVENTS:,} are taken at a time")
    yield from parts


def read_event(text: bytes) -> Said:
    """What one event says. Raises `EventRefused` where it says nothing that could be done."""
    try:
        envelope = _decode_envelope(text)
        reader = _READERS.get(envelope.type)
        if reader is None:
            raise EventRefused(
                f"$.type: events of the type {envelope.type!r} are not taken; use {', '.join(_READERS)}"
            )
        return reader(envelope)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise EventRefused(f"this is no event that is understood: {error}") from error


def _known_as(envelope: _Envelope, batch_id: str) -> IncomingEvent:
    return IncomingEvent(source=envelope.source, event_id=envelope.id, type=envelope.type, batch_id=batch_id)


def _brought(envelope: _Envelope) -> BatchBrought:
    document = bytes(envelope.data)
    if envelope.dataref is None and document[:1] != b"{":
        raise EventRefused("$.data: a batch document is needed here, or where it is in $.dataref")
    if envelope.dataref is not None and document not in (b"", b"null"):
        raise EventRefused("$.dataref: the data is here already; leave one of them out")
    return BatchBrought(
        source=envelope.source,
        event_id=envelope.id,
        document=b"" if envelope.dataref is not None else document,
        reference=envelope.dataref,
    )


def _allocated(envelope: _Envelope) -> tuple[IncomingEvent, ResourcesGiven]:
    try:
        batch_id, execution, allocation = read_allocation(bytes(envelope.data))
    except AllocationRefused as refused:
        raise EventRefused(str(refused)) from None
    return _known_as(envelope, batch_id), ResourcesGiven(allocation=allocation, execution=execution)


def _completed(envelope: _Envelope) -> tuple[IncomingEvent, ItemCompleted]:
    said = _decode_completed(envelope.data)
    failure = _failure(said)
    return _known_as(envelope, said.batch_id), ItemCompleted(
        item_id=said.item_id,
        attempt=said.attempt,
        execution=said.execution,
        result=b"null" if failure is not None else _result(said),
        failure=failure,
    )


#: How events that are taken are read, by their type.
_READERS: Final[Mapping[str, Callable[[_Envelope], Said]]] = {
    BATCH_INITIALIZED: _brought,
    RESOURCES_ALLOCATED: _allocated,
    ITEM_PROCESSING_COMPLETED: _completed,
}


def _failure(said: _Completed) -> ToldFailure | None:
    if said.status == "SUCCEEDED":
        if said.error is not msgspec.UNSET:
            raise EventRefused("$.data.error: an item that succeeded has no error; leave it out")
        return None
    if said.result is not msgspec.UNSET:
        raise EventRefused("$.data.result: an item that failed has no result; leave it out")
    if said.error is msgspec.UNSET:
        raise EventRefused("$.data.error: an item that failed needs its error: {code, type, message}")
    error = said.error
    if error.code not in _ITEM_CODES:
        raise EventRefused(f"$.data.error.code: {error.code} is no code of items; use {ErrorCode.ITEM_ERROR}")
    return ToldFailure(error.code, error.type, error.message, error.retryable)


def _result(said: _Completed) -> bytes:
    """The result's text on one line, with every digit it came with."""
    if said.result is msgspec.UNSET:
        return b"null"
    text = bytes(said.result)
    if len(text) > MAX_RESULT_BYTES:
        raise EventRefused(f"$.data.result: {len(text):,} bytes; a result has at most {MAX_RESULT_BYTES:,}")
    value = parse_leniently(text.decode())
    for path, fault in find_faults(value, "$.data.result", max_depth=MAX_DEPTH, repeated_keys=True):
        raise EventRefused(f"{path}: {fault}")
    return msgspec.json.format(text, indent=-1)


def _is_one(text: bytes) -> bool:
    """Whether a text is one JSON value: an object may be written over many lines."""
    if b"\n" not in text:
        return True
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return False
    return True
