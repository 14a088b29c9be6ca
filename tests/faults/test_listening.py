"""F17: what comes through a broker while something is in the way is neither lost nor taken in twice."""

import http.server
import json
import queue
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from everyitem import compose
from everyitem.faces.service import catalogue as looks
from everyitem.faces.service import listener as waits
from everyitem.faces.service.catalogue import Catalogue
from everyitem.faces.service.inlet import Inlet
from everyitem.faces.service.intake import Intake
from everyitem.faces.service.listener import Listener
from everyitem.ports.subscription import Message
from everyitem.settings import load_settings

PATIENCE = 120.0
SOUND = (
    "from everyitem import item_processor\n\n@item_processor('work')\ndef work(item, context):\n    pass\n"
)


class Topic:
    """Messages that are handed out again until they are taken."""

    def __init__(self, *events: dict[str, Any]) -> None:
        self._messages = [Message(json.dumps(event).encode(), number) for number, event in enumerate(events)]
        #: How often they were handed out, and tokens of those that were taken.
        self.handed_out: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.taken: queue.SimpleQueue[int] = queue.SimpleQueue()

    def receive(self, _seconds: float) -> Sequence[Message]:
        if self._messages:
            self.handed_out.put(len(self._messages))
        return list(self._messages)

    def take(self, message: Message) -> None:
        self._messages.remove(message)
        self.taken.put(message.token)

    def close(self) -> None:
        pass


class Documents(http.server.ThreadingHTTPServer):
    """A web server with one document, which answers 503 until it is ready."""

    is_ready = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Documents

    def do_GET(self) -> None:
        self.send_response(200 if self.server.is_ready else 503)
        self.end_headers()
        self.wfile.write(json.dumps(document("referred")).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody rests for long between two tries."""
    for module, name in ((waits, "WAIT"), (waits, "REST"), (looks, "_LOOK")):
        monkeypatch.setattr(module, name, 0.01)


@pytest.fixture
def documents() -> Iterator[Documents]:
    with Documents() as server:
        yield server
        server.shutdown()


def document(batch_id: str) -> dict[str, Any]:
    return {
        "batchId": batch_id,
        "batchItems": [1],
        "processingConfiguration": {"processor": "work"},
        "allocatedResources": {},
        "executionPlan": {},
    }


def brought(event_id: str, **what: Any) -> dict[str, Any]:
    return {"specversion": "1.0", "id": event_id, "source": "/t", "type": "BatchInitialized", **what}


def listening(folder: Path, topic: Topic, sources: dict[str, Any] | None = None) -> tuple[Listener, str]:
    """A listener for a topic, and the store what comes is put into."""
    store = f"sqlite:///{folder / 'store.db'}"
    settings = load_settings(None, store=store, sources=sources or {})
    intake = Intake(settings, Catalogue([str(folder / "processors.py")]))
    return Listener(topic, Inlet(store, intake, "the broker", waits=True)), store


def stored(store_url: str) -> list[str]:
    with closing(compose.open_queue(store_url)) as tickets:
        return [ticket.batch_id for ticket in tickets.tickets()]


def test_a_batch_waits_at_the_broker_while_item_processors_do_not_load(tmp_path: Path) -> None:
    """A file that is just being replaced: that is no fault of the event."""
    processors = tmp_path / "processors.py"
    processors.write_text("from everyitem import item_proc")
    topic = Topic(brought("1", data=document("b")))
    listener, store = listening(tmp_path, topic)
    listener.begin()
    for _ in range(3):
        topic.handed_out.get(timeout=PATIENCE)
    assert topic.taken.empty()
    processors.write_text(SOUND)
    assert topic.taken.get(timeout=PATIENCE) == 0
    listener.close()
    assert stored(store) == ["b"]


def test_a_batch_waits_at_the_broker_while_the_place_of_its_document_does_not_answer(
    tmp_path: Path, documents: Documents
) -> None:
    """It may answer later; what the place refuses for good is taken, so that it keeps nobody waiting."""
    (tmp_path / "processors.py").write_text(SOUND)
    url = f"http://127.0.0.1:{documents.server_port}/"
    topic = Topic(
        brought("1", dataref="http://elsewhere.example/b.json"), brought("2", dataref=f"{url}b.json")
    )
    listener, store = listening(tmp_path, topic, {"http": {"allow": [url]}})
    listener.begin()
    assert topic.taken.get(timeout=PATIENCE) == 0
    while topic.handed_out.get(timeout=PATIENCE) != 1:
        pass
    topic.handed_out.get(timeout=PATIENCE)
    assert topic.taken.empty()
    documents.is_ready = True
    assert topic.taken.get(timeout=PATIENCE) == 1
    listener.close()
    assert stored(store) == ["referred"]
