"""The REST API of a Cyoda platform for tests: models, entities, transitions, searches and messages.

It reproduces what was read of cyoda-go (docs/adr/0029): collections are all or nothing, a unique key refuses
what comes twice, `If-Match` is compared as it is written, a transition is there in some states only, and a
search is carried out in the background and read page by page, without what was deleted meanwhile.
"""

import itertools
import json
import sys
import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

_MERGE = "application/merge-patch+json"


@dataclass
class Model:
    """A model; `keys` are the fields of its unique key."""

    locked: bool = True
    keys: tuple[str, ...] = ()
    #: State -> transition -> next state.
    transitions: dict[str, dict[str, str]] = field(default_factory=dict)
    #: Values of the unique key that are taken.
    taken: set[tuple[Any, ...]] = field(default_factory=set)


@dataclass
class Stored:
    """An entity as it is stored."""

    model: str
    data: dict[str, Any]
    state: str = "new"
    transaction: str = field(default_factory=lambda: str(uuid.uuid4()))
    #: Transitions that were carried out.
    moves: int = 0


class Refused(Exception):
    """An answer that is a problem."""

    def __init__(self, status: int, code: str, *, retryable: bool = False) -> None:
        self.status, self.code, self.retryable = status, code, retryable
        super().__init__(code)


class Generated(Sequence[tuple[str, str]]):
    """Any number of entities nobody has to keep: id and envelope."""

    def __init__(self, count: int, *, width: int = 0) -> None:
        self._count, self._text = count, "x" * width

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(self._count))]
        if not 0 <= index < self._count:
            raise IndexError(index)
        entity_id = str(uuid.UUID(int=index + 1))
        return entity_id, _envelope(entity_id, Stored("Position/1", {"n": index, "text": self._text}, "open"))

    def by_id(self, entity_id: str) -> str | None:
        try:
            return str(self[uuid.UUID(entity_id).int - 1][1])
        except (ValueError, IndexError):
            return None


class CyodaRest:
    """A server on a free port of the loopback interface."""

    def __init__(self) -> None:
        self.models: dict[str, Model] = {}
        self.entities: dict[str, Stored] = {}
        self.messages: dict[str, dict[str, Any]] = {}
        #: Found by every search of a model, beside what is stored.
        self.generated: dict[str, Generated] = {}
        #: Method and path of each call.
        self.calls: list[tuple[str, str]] = []
        #: So many calls that change something are carried out, and their answers lost.
        self.lose_answers = 0
        #: Called before anything else with method and path; may raise `Refused`.
        self.before: Callable[[str, str], None] = lambda *_: None
        #: Whether a search keeps only a thousand results, as old servers do.
        self.cuts_off = False
        self._jobs: dict[str, Sequence[tuple[str, str]]] = {}
        self._asked: set[str] = set()
        self._numbers = itertools.count(1)
        self._lock = threading.RLock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                outer.handle(self)

            do_POST = do_PUT = do_PATCH = do_GET  # noqa: N815 - the names the standard library looks for

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """Clients that are killed are no news."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/api"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    # ------------------------------------------------------------- what tests look at

    def create(self, model: str, data: dict[str, Any], state: str = "new") -> str:
        entity_id = str(uuid.uuid4())
        self.entities[entity_id] = Stored(model, data, state)
        return entity_id

    def of(self, model: str) -> list[dict[str, Any]]:
        """The data of all entities of a model."""
        return [one.data for one in self.entities.values() if one.model == model]

    # ------------------------------------------------------------- HTTP

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        place = urlsplit(request.path)
        path = place.path.removeprefix("/api")
        query = {name: values[0] for name, values in parse_qs(place.query).items()}
        self.calls.append((request.command, path))
        try:
            self.before(request.command, path)
            with self._lock:
                answer = self._answer(request, path.strip("/").split("/"), query, body)
        except Refused as refused:
            properties = {"errorCode": refused.code, "retryable": refused.retryable}
            problem = {"status": refused.status, "detail": f"{refused.code}: no", "properties": properties}
            self._reply(request, refused.status, json.dumps(problem))
            return
        if request.command != "GET" and "search" not in path and self.lose_answers:
            self.lose_answers -= 1
            request.close_connection = True
            return
        self._reply(request, 200, answer if isinstance(answer, str) else json.dumps(answer))

    @staticmethod
    def _reply(request: BaseHTTPRequestHandler, status: int, text: str) -> None:
        content = text.encode()
        request.send_response_only(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    def _answer(
        self, request: BaseHTTPRequestHandler, parts: list[str], query: dict[str, str], body: bytes
    ) -> Any:
        match request.command, parts:
            case "GET", ["model", "export", _, name, version]:
                return self._export(f"{name}/{version}")
            case "POST", ["entity", "JSON", name, version]:
                return self._create(f"{name}/{version}", json.loads(body))
            case "GET", ["entity", entity_id]:
                return self._read(unquote(entity_id))
            case "PATCH", ["entity", "JSON", entity_id, transition]:
                return self._patch(request, unquote(entity_id), transition, json.loads(body))
            case "POST", ["search", kind, name, version]:
                found = self._search(f"{name}/{version}", json.loads(body))
                return self._direct(found, query) if kind == "direct" else self._begin(found)
            case "GET", ["search", "async", job, "status"]:
                return self._status(job)
            case "GET", ["search", "async", job]:
                return self._page(job, int(query["pageNumber"]), int(query["pageSize"]))
            case "POST", ["message", "new", subject]:
                return self._message(request, subject, json.loads(body))
            case _:
                raise Refused(404, "NOT_FOUND")

    # ------------------------------------------------------------- entities

    def _export(self, name: str) -> Any:
        model = self._model(name)
        keys = [{"id": "key", "fields": [f"$.{one}" for one in model.keys]}] if model.keys else []
        return {"currentState": "LOCKED" if model.locked else "UNLOCKED", "model": {}, "uniqueKeys": keys}

    def _model(self, name: str) -> Model:
        if name not in self.models:
            raise Refused(404, "MODEL_NOT_FOUND")
        return self.models[name]

    def _entity(self, entity_id: str) -> Stored:
        if entity_id not in self.entities:
            raise Refused(404, "ENTITY_NOT_FOUND")
        return self.entities[entity_id]

    def _read(self, entity_id: str) -> str:
        for generated in self.generated.values():
            if entity_id not in self.entities and (found := generated.by_id(entity_id)) is not None:
                return found
        return _envelope(entity_id, self._entity(entity_id))

    def _create(self, name: str, content: Any) -> Any:
        model = self._model(name)
        if not model.locked:
            raise Refused(409, "MODEL_NOT_LOCKED")
        some = content if isinstance(content, list) else [content]
        values = [tuple(one.get(key) for key in model.keys) for one in some]
        if model.keys and (len(set(values)) < len(values) or model.taken & set(values)):
            raise Refused(409, "UNIQUE_VIOLATION")
        if model.keys:
            model.taken.update(values)
        return [{"transactionId": "t", "entityIds": [self.create(name, one) for one in some]}]

    def _patch(self, request: BaseHTTPRequestHandler, entity_id: str, transition: str, patch: Any) -> Any:
        entity = self._entity(entity_id)
        wanted = request.headers["If-Match"]
        if wanted is None:
            raise Refused(428, "PRECONDITION_REQUIRED")
        if request.headers["Content-Type"] != _MERGE:
            raise Refused(415, "UNSUPPORTED_MEDIA_TYPE")
        if wanted not in ("*", entity.transaction):
            raise Refused(412, "ENTITY_MODIFIED")
        following = self._model(entity.model).transitions.get(entity.state, {}).get(transition)
        if following is None:
            raise Refused(400, "TRANSITION_NOT_FOUND")
        entity.data |= patch
        entity.state, entity.transaction = following, str(uuid.uuid4())
        entity.moves += 1
        return {"transactionId": entity.transaction, "entityIds": [entity_id]}

    # ------------------------------------------------------------- searches

    def _search(self, name: str, condition: dict[str, Any]) -> Sequence[tuple[str, str]]:
        if name in self.generated:
            return self.generated[name]
        return [
            (entity_id, _envelope(entity_id, one))
            for entity_id, one in self.entities.items()
            if one.model == name and _meets(one, condition)
        ]

    def _direct(self, found: Sequence[tuple[str, str]], query: dict[str, str]) -> str:
        if len(found) > int(query["limit"]):
            raise Refused(400, "SEARCH_RESULT_LIMIT")
        return "".join(f"{text}\n" for _, text in found)

    def _begin(self, found: Sequence[tuple[str, str]]) -> str:
        job = str(uuid.uuid4())
        self._jobs[job] = found[:1000] if self.cuts_off else found
        return json.dumps(job)

    def _status(self, job: str) -> Any:
        if job not in self._asked:
            self._asked.add(job)
            return {"searchJobStatus": "RUNNING", "entitiesCount": 0}
        return {"searchJobStatus": "SUCCESSFUL", "entitiesCount": len(self._jobs[job])}

    def _page(self, job: str, number: int, size: int) -> str:
        page = self._jobs[job][number * size : (number + 1) * size]
        generated = isinstance(self._jobs[job], Generated)
        texts = [text for entity_id, text in page if generated or entity_id in self.entities]
        return f'{{"content":[{",".join(texts)}],"page":{{"number":{number},"size":{size}}}}}'

    def _message(self, request: BaseHTTPRequestHandler, subject: str, content: Any) -> Any:
        message_id = str(uuid.uuid4())
        headers = {"subject": subject, **{name.lower(): value for name, value in request.headers.items()}}
        self.messages[message_id] = {"header": headers, **content}
        return [{"transactionId": "t", "entityIds": [message_id]}]


def _meets(entity: Stored, condition: dict[str, Any]) -> bool:
    match condition:
        case {"type": "group", "operator": operator, "conditions": parts}:
            return (all if operator == "AND" else any)(_meets(entity, part) for part in parts)
        case {"type": "lifecycle", "field": "state", "operatorType": "EQUALS", "value": value}:
            return entity.state == value
        case {"type": "simple", "jsonPath": path, "operatorType": "EQUALS", "value": value}:
            return bool(entity.data.get(path.removeprefix("$.")) == value)
    raise Refused(400, "INVALID_CONDITION")


def _envelope(entity_id: str, entity: Stored) -> str:
    meta = {"id": entity_id, "state": entity.state, "transactionId": entity.transaction}
    return json.dumps({"type": "ENTITY", "data": entity.data, "meta": meta})


def main(arguments: list[str]) -> None:
    """A platform in a process of its own: COUNT entities Position/1, and models of what is written back."""
    rest = CyodaRest()
    rest.generated["Position/1"] = Generated(int(arguments[0]), width=200)
    rest.models["BatchItemResult/1"] = Model(keys=("resultKey",))
    rest.models["BatchEvent/1"] = Model(keys=("eventId",))
    print(rest.url, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1:])
