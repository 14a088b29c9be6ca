"""A Cyoda platform for tests: the real gRPC service, entities with a workflow, and whatever goes wrong.

It reproduces what `docs/cyoda.md` says of the platform: registration before the greeting, a missing `success`
counts as false, a body is replaced whole, the newest request wins, answers above 4 MiB end the stream, and
everything pending on a stream fails when it ends.
"""

import itertools
import json
import queue
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent import futures
from dataclasses import dataclass, field
from typing import Any

import grpc
from tests.services.ports import free_port

from everyitem.faces.cyoda.protocol.cloudevents_pb2 import CloudEvent

PATIENCE = 120
TENANT = "mock-tenant"
_SERVICE = "org.cyoda.cloud.api.grpc.CloudEventsService"


class DispatchFailed(Exception):
    """What the caller of the platform gets instead of a result."""


@dataclass
class Pending:
    """One request in flight."""

    request_id: str
    answer: "futures.Future[dict[str, Any]]" = field(default_factory=futures.Future)


class Stream:
    """One member, as the platform sees it."""

    def __init__(self, context: grpc.ServicerContext) -> None:
        self.context = context
        self.member_id = str(uuid.uuid4())
        self.tags: list[str] = []
        #: Events to send; None ends the stream.
        self.outgoing: queue.SimpleQueue[CloudEvent | None] = queue.SimpleQueue()
        self.pending: dict[str, Pending] = {}
        self.gone = threading.Event()
        #: Every answer's raw text by request id, duplicates included.
        self.answers: dict[str, list[dict[str, Any]]] = {}
        #: Seconds from each probe to its acknowledgement.
        self.reactions: list[float] = []
        self._probed: dict[str, float] = {}
        self._numbers = itertools.count()

    def send(self, event_type: str, content: dict[str, Any] | str) -> None:
        text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
        event = CloudEvent(
            id=str(uuid.uuid4()), source="cyoda", spec_version="1.0", type=event_type, text_data=text
        )
        self.outgoing.put(event)

    def probe(self) -> None:
        number = f"{self.member_id}/{next(self._numbers)}"
        self._probed[number] = time.monotonic()
        self.send(
            "CalculationMemberKeepAliveEvent", {"id": number, "memberId": self.member_id, "success": True}
        )

    def acknowledged(self, probe_id: str) -> None:
        self.reactions.append(time.monotonic() - self._probed.pop(probe_id))

    @property
    def slowest(self) -> float:
        """The slowest reaction so far, probes without one included."""
        waiting = [time.monotonic() - sent for sent in list(self._probed.values())]
        return max([*self.reactions, *waiting], default=0.0)

    def cut(self) -> None:
        """End the stream now."""
        self.outgoing.put(None)


class Platform:
    """A server on a free port of the loopback interface."""

    def __init__(
        self,
        *,
        token: Callable[[], str] | None = None,
        probe_every: float = 1.0,
        read_slowly: float = 0.0,
        certificate: tuple[bytes, bytes] | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self._token, self._probe_every, self._read_slowly = token, probe_every, read_slowly
        #: Seconds a member has for an answer.
        self._patience = patience
        #: Key and certificate, PEM; without them the server speaks plaintext.
        self._certificate = certificate
        self.entities: dict[str, dict[str, Any]] = {}
        self.bodies: dict[str, str] = {}
        #: Streams that live, and all there ever were.
        self.streams: list[Stream] = []
        self.history: list[Stream] = []
        self.joined: queue.SimpleQueue[Stream] = queue.SimpleQueue()
        #: Called with a fresh stream between its registration and its greeting.
        self.before_greeting: Callable[[Stream], None] = lambda _: None
        #: Answers that are lost between member and platform.
        self.lose_answers = 0
        #: The authorizations that were refused.
        self.rejected: list[str | None] = []
        self.port = free_port()
        self._lock = threading.RLock()
        self._stopped = threading.Event()
        self._server: grpc.Server | None = None

    # ------------------------------------------------------------- the server

    def start(self) -> "Platform":
        self._stopped.clear()
        server = grpc.server(
            futures.ThreadPoolExecutor(64),
            options=[("grpc.max_receive_message_length", 4 << 20), ("grpc.so_reuseport", 0)],
        )
        convert = {
            "request_deserializer": CloudEvent.FromString,
            "response_serializer": CloudEvent.SerializeToString,
        }
        handlers = {
            "startStreaming": grpc.stream_stream_rpc_method_handler(self._stream, **convert),
            "entitySearch": grpc.unary_unary_rpc_method_handler(self._search, **convert),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, handlers),))
        address = f"127.0.0.1:{self.port}"
        if self._certificate is None:
            server.add_insecure_port(address)
        else:
            server.add_secure_port(address, grpc.ssl_server_credentials([self._certificate]))
        server.start()
        self._server = server
        threading.Thread(target=self._probe, daemon=True).start()
        return self

    def stop(self) -> None:
        """End hard, as a killed server does; entities are kept, what is in flight is lost."""
        self._stopped.set()
        for stream in list(self.streams):
            stream.cut()
        if self._server is not None:
            self._server.stop(0).wait(PATIENCE)
            self._server = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def _probe(self) -> None:
        while not self._stopped.wait(self._probe_every):
            for stream in list(self.streams):
                stream.probe()

    def _stream(self, incoming: Iterator[CloudEvent], context: grpc.ServicerContext) -> Iterator[CloudEvent]:
        if self._token is not None:
            given = dict(context.invocation_metadata()).get("authorization")
            if given != f"Bearer {self._token()}":
                self.rejected.append(given)
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "invalid token")
        first = next(incoming)
        said = json.loads(first.text_data)
        if first.type != "CalculationMemberJoinEvent" or "id" not in said:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "join first")
        stream = Stream(context)
        stream.tags = said["tags"]
        with self._lock:
            self.streams.append(stream)
            self.history.append(stream)
        self.before_greeting(stream)
        stream.send(
            "CalculationMemberGreetEvent",
            {
                "id": stream.member_id,
                "memberId": stream.member_id,
                "joinedLegalEntityId": TENANT,
                "success": True,
            },
        )
        threading.Thread(target=self._read, args=(stream, incoming), daemon=True).start()
        self.joined.put(stream)
        try:
            while (event := stream.outgoing.get()) is not None:
                yield event
        finally:
            self._gone(stream)
        context.abort(grpc.StatusCode.UNAVAILABLE, "the stream was cut")

    def _read(self, stream: Stream, incoming: Iterator[CloudEvent]) -> None:
        try:
            for event in incoming:
                if self._read_slowly:
                    self._stopped.wait(self._read_slowly)
                self._heard(stream, event)
        except grpc.RpcError:
            pass
        finally:
            stream.outgoing.put(None)

    def _gone(self, stream: Stream) -> None:
        with self._lock:
            if stream in self.streams:
                self.streams.remove(stream)
            pending, stream.pending = stream.pending, {}
        stream.gone.set()
        for one in pending.values():
            one.answer.set_exception(DispatchFailed("COMPUTE_MEMBER_DISCONNECTED"))

    def _heard(self, stream: Stream, event: CloudEvent) -> None:
        said = json.loads(event.text_data)
        if event.type == "EventAckResponse":
            stream.acknowledged(said["sourceEventId"])
        elif event.type.endswith("CalculationResponse"):
            stream.answers.setdefault(said["requestId"], []).append(said)
            if self.lose_answers:
                self.lose_answers -= 1
                stream.cut()
                return
            with self._lock:
                pending = stream.pending.pop(said["requestId"], None)
            if pending is not None:
                pending.answer.set_result({**said, "text": event.text_data})

    def _search(self, event: CloudEvent, context: grpc.ServicerContext) -> CloudEvent:
        asked = json.loads(event.text_data)
        body = self.bodies.get(asked["entityId"])
        found = body is not None
        data = f', "payload": {{"type": "JSON", "data": {body}}}' if found else ""
        text = f'{{"requestId": "{event.id}", "success": {json.dumps(found)}{data}}}'
        return CloudEvent(id=str(uuid.uuid4()), type="EntityResponse", text_data=text)

    # ------------------------------------------------------------- entities and their workflow

    def create(self, body: str | dict[str, Any]) -> str:
        entity_id = str(uuid.uuid4())
        self.bodies[entity_id] = body if isinstance(body, str) else json.dumps(body)
        self.entities[entity_id] = {"state": "created", "version": 1, "visits": ["created"]}
        return entity_id

    def state(self, entity_id: str) -> str:
        return self.entities[entity_id]["state"]

    def body(self, entity_id: str) -> dict[str, Any]:
        return json.loads(self.bodies[entity_id])

    def move(self, entity_id: str, state: str) -> None:
        entity = self.entities[entity_id]
        entity["state"] = state
        entity["visits"].append(state)

    def update(self, entity_id: str, **fields: Any) -> None:
        with self._lock:
            self.bodies[entity_id] = json.dumps({**self.body(entity_id), **fields})
            self.entities[entity_id]["version"] += 1

    def execute(self, entity_id: str, **options: Any) -> str:
        """Enter `executing`, dispatch, save the answer, move on by outcome; returns the state reached.

        Raises `DispatchFailed` as the platform's caller would see it; the entity stays in `executing`.
        """
        with self._lock:
            entity = self.entities[entity_id]
            if entity["state"] != "executing":
                self.move(entity_id, "executing")
            entity["version"] += 1
            version, body = entity["version"], self.bodies[entity_id]
        answer = self.dispatch("executeBatchProcessing", entity_id, body, **options).answer.result(
            self._patience
        )
        data = self.outcome(answer)
        with self._lock:
            if entity["version"] != version:
                raise DispatchFailed("ENTITY_MODIFIED")
            if data is not None:
                self.bodies[entity_id] = data
            entity["version"] += 1
            status = self.body(entity_id).get("executionStatus")
            self.move(entity_id, "executed")
            self.move(
                entity_id,
                {"COMPLETED": "completed", "COMPLETED_WITH_ERRORS": "completed_with_errors"}.get(
                    status, "failed"
                ),
            )
        return self.state(entity_id)

    def executing(self, entity_id: str, **options: Any) -> "futures.Future[str]":
        """`execute` on a thread of its own."""
        done: futures.Future[str] = futures.Future()

        def run() -> None:
            try:
                done.set_result(self.execute(entity_id, **options))
            except Exception as error:
                done.set_exception(error)

        threading.Thread(target=run, daemon=True).start()
        return done

    def initialize(self, entity_id: str) -> None:
        """The SYNC step before: a failure rolls back, so the entity stays as it is."""
        pending = self.dispatch("initializeBatch", entity_id, self.bodies[entity_id])
        data = self.outcome(pending.answer.result(PATIENCE))
        if data is not None:
            self.bodies[entity_id] = data

    def dispatch(
        self,
        name: str,
        entity_id: str,
        body: str,
        *,
        stream: Stream | None = None,
        attach: bool = True,
        parameters: dict[str, Any] | None = None,
        kind: str = "Processor",
    ) -> Pending:
        with self._lock:
            live = [one for one in self.streams if "batch-execution" in one.tags]
            if stream is None:
                if not live:
                    raise DispatchFailed("NO_COMPUTE_MEMBER_FOR_TAG")
                stream = live[-1]
            pending = Pending(str(uuid.uuid4()))
            stream.pending[pending.request_id] = pending
        key = {"Processor": "processor", "Criteria": "criteria", "Function": "function"}[kind]
        content: dict[str, Any] = {
            "id": pending.request_id,
            "requestId": pending.request_id,
            "entityId": entity_id,
            f"{key}Id": name,
            f"{key}Name": name,
            "workflow": {"id": "BatchProcessingWorkflow", "name": "BatchProcessingWorkflow"},
            "transition": {"id": "execute", "name": "execute", "stateFrom": "", "stateTo": ""},
            "transactionId": "",
            "success": True,
        }
        if parameters is not None:
            content["parameters"] = json.dumps(parameters)
        text = json.dumps(content)
        if attach:
            meta = json.dumps({"id": entity_id, "state": "executing"})
            text = f'{text[:-1]}, "payload": {{"type": "JSON", "data": {body}, "meta": {meta}}}}}'
        stream.send(f"Entity{kind}CalculationRequest", text)
        return pending

    @staticmethod
    def outcome(answer: dict[str, Any]) -> str | None:
        """The body an answer leaves, byte for byte; None for unchanged."""
        if not answer.get("success", False):
            raise DispatchFailed(answer.get("error", {}).get("message", "processor returned failure"))
        if "payload" not in answer:
            return None
        text = answer["text"]
        decoder = json.JSONDecoder()
        start = text.index('"data":', text.index('"payload":')) + len('"data":')
        _, end = decoder.raw_decode(text, start)
        return text[start:end]
