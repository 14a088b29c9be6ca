"""What travels on the stream: the JSON texts inside the platform's CloudEvents, built and read.

Entities stay JSON text (`bytes`) from the first to the last hop, so that digits and unknown fields are never
touched.
"""

import uuid
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final

import msgspec

JOIN: Final = "CalculationMemberJoinEvent"
GREET: Final = "CalculationMemberGreetEvent"
KEEP_ALIVE: Final = "CalculationMemberKeepAliveEvent"
ACKNOWLEDGE: Final = "EventAckResponse"
GET_ENTITY: Final = "EntityGetRequest"

#: Bytes of one answer that a server accepts: gRPC's 4 MiB, less room for the envelope around the text.
LARGEST_ANSWER: Final = (4 << 20) - (8 << 10)
#: Characters of a message that reaches the caller of the platform.
_LONGEST_MESSAGE: Final = 1000


class Kind(StrEnum):
    """What the platform may ask a member to calculate."""

    PROCESSOR = "Processor"
    CRITERION = "Criteria"
    FUNCTION = "Function"

    @property
    def request(self) -> str:
        """Event type of the request."""
        return f"Entity{self}CalculationRequest"

    @property
    def response(self) -> str:
        """Event type of the answer."""
        return f"Entity{self}CalculationResponse"


_KINDS: Final = {kind.request: kind for kind in Kind}


class Message(msgspec.Struct, frozen=True):
    """One event: its type and its JSON text."""

    type: str
    text: bytes


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One calculation the platform asks for."""

    kind: Kind
    request_id: str
    entity_id: str
    #: Name of the processor, criterion or function.
    name: str
    #: The processor's `context`: its keys and values.
    parameters: dict[str, Any] = {}
    #: JSON text of the entity; None where it is not attached.
    data: bytes | None = None
    #: Of the member that was asked; known once the platform has greeted it.
    tenant: str = ""


class Greeting(msgspec.Struct, frozen=True, rename="camel"):
    """How the platform answers a join."""

    member_id: str = ""
    joined_legal_entity_id: str = ""
    success: bool = False
    error: Any = None


class Unreadable(Exception):
    """A message that is not what its type says; `request` is set where it can be answered all the same."""

    def __init__(self, message: str, request: Request | None = None) -> None:
        self.request = request
        super().__init__(message)


class _Payload(msgspec.Struct):
    # an empty text stands for a member that is not there; Raw knows no null
    data: msgspec.Raw = msgspec.Raw()


class _Asked(msgspec.Struct, rename="camel"):
    request_id: str
    entity_id: str = ""
    processor_name: str = ""
    criteria_name: str = ""
    function_name: str = ""
    parameters: Any = None
    payload: _Payload | None = None


class _Probe(msgspec.Struct):
    id: str


class _Fetched(msgspec.Struct):
    success: bool = False
    error: Any = None
    payload: _Payload | None = None


_read_asked = msgspec.json.Decoder(_Asked).decode
_read_probe = msgspec.json.Decoder(_Probe).decode
_read_greeting = msgspec.json.Decoder(Greeting).decode
_read_fetched = msgspec.json.Decoder(_Fetched).decode
_encode = msgspec.json.Encoder().encode


def is_request(event_type: str) -> bool:
    """Whether an event asks for a calculation and so must be answered."""
    return event_type in _KINDS


def read_request(event_type: str, text: bytes) -> Request:
    """What a calculation request asks for. Raises `Unreadable`."""
    kind = _KINDS[event_type]
    try:
        asked = _read_asked(text)
        parameters = _parameters(asked.parameters)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"{event_type}: {error}", _salvage(kind, text)) from error
    if not asked.request_id:
        raise Unreadable(f"{event_type}: without a requestId")
    names = {
        Kind.PROCESSOR: asked.processor_name,
        Kind.CRITERION: asked.criteria_name,
        Kind.FUNCTION: asked.function_name,
    }
    return Request(
        kind=kind,
        request_id=asked.request_id,
        entity_id=asked.entity_id,
        name=names[kind],
        parameters=parameters,
        data=_data_of(asked.payload),
    )


def read_greeting(text: bytes) -> Greeting:
    """How a join was answered. Raises `Unreadable`."""
    try:
        return _read_greeting(text)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Unreadable(f"{GREET}: {error}") from error


def read_entity(text: bytes) -> bytes:
    """The entity in the reply to `get_entity`. Raises `Unreadable` when there is none."""
    try:
        fetched = _read_fetched(text)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Unreadable(f"{GET_ENTITY}: {error}") from error
    data = _data_of(fetched.payload)
    if not fetched.success or data is None:
        raise Unreadable(f"{GET_ENTITY}: {_encode(fetched.error).decode()[:200]}")
    return data


def with_data(request: Request, data: bytes) -> Request:
    """The same request with its entity."""
    return msgspec.structs.replace(request, data=data)


def join(tag: str) -> Message:
    """The first message of a member."""
    return Message(JOIN, _encode({"id": _new_id(), "tags": [tag]}))


def acknowledge(text: bytes) -> Message:
    """The answer to a keep-alive. Raises `Unreadable`."""
    try:
        probe = _read_probe(text)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Unreadable(f"{KEEP_ALIVE}: {error}") from error
    return Message(ACKNOWLEDGE, _encode({"id": _new_id(), "sourceEventId": probe.id, "success": True}))


def get_entity(entity_id: str) -> Message:
    """Asks for an entity that was not attached."""
    return Message(GET_ENTITY, _encode({"id": _new_id(), "entityId": entity_id}))


def succeed(request: Request, data: bytes, warnings: Sequence[str] = ()) -> Message:
    """The answer with the whole entity; `data` replaces what the platform has."""
    payload = {"type": "JSON", "data": msgspec.Raw(data)}
    return _answer(request, {"success": True, "warnings": list(warnings), "payload": payload})


def fail(request: Request, code: str, message: str, *, retryable: bool) -> Message:
    """The answer when nothing was calculated; the platform keeps the entity as it is.

    `message` reaches whoever caused the request, word for word.
    """
    error = {"code": code, "message": printable(message, _LONGEST_MESSAGE), "retryable": retryable}
    return _answer(request, {"success": False, "error": error, "warnings": []})


def refuse_unknown(request: Request) -> Message:
    """The answer to what this member does not calculate; silence would hold the caller to its timeout."""
    if request.kind is Kind.PROCESSOR:
        return fail(request, "UNKNOWN_PROCESSOR", f"no processor {request.name!r} here", retryable=False)
    what = "criterion" if request.kind is Kind.CRITERION else "function"
    return fail(request, "UNSUPPORTED_OPERATION", f"no {what} {request.name!r} here", retryable=False)


def printable(text: str, most: int) -> str:
    """At most `most` characters that can be encoded: lone surrogates become `?`."""
    sound = text.encode("utf-8", "replace").decode("utf-8")
    return sound if len(sound) <= most else sound[: most - 1] + "…"


def _answer(request: Request, content: dict[str, Any]) -> Message:
    head: dict[str, Any] = {"id": _new_id(), "requestId": request.request_id, "entityId": request.entity_id}
    if request.kind is Kind.CRITERION:
        head["matches"] = False
    return Message(request.kind.response, _encode(head | content))


def _salvage(kind: Kind, text: bytes) -> Request | None:
    """As much of a request that cannot be read as it takes to refuse it; None without a requestId."""
    try:
        found = msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    request_id, entity_id = found.get("requestId"), found.get("entityId")
    if not isinstance(request_id, str) or not request_id:
        return None
    entity_id = entity_id if isinstance(entity_id, str) else ""
    return Request(kind=kind, request_id=request_id, entity_id=entity_id, name="")


def _parameters(given: Any) -> dict[str, Any]:
    """`parameters` is a JSON text on one platform and an object on another; anything else says nothing."""
    value = msgspec.json.decode(given) if isinstance(given, str) and given.strip() else given
    return value if isinstance(value, dict) else {}


def _data_of(payload: _Payload | None) -> bytes | None:
    data = b"" if payload is None else bytes(payload.data)
    return None if data.strip() in (b"", b"null") else data


def _new_id() -> str:
    return str(uuid.uuid4())
