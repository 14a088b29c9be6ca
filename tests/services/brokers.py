"""Brokers of Debian's, started and killed at will."""

import asyncio
import json
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

from tests.services.debian import need

TOPIC = "everyitem.events"
INBOX = "everyitem.inbox"
#: Seconds to start.
PATIENCE = 30.0


class Broker(Protocol):
    """A broker, and what it keeps."""

    publisher: str
    url: str

    def start(self) -> None: ...

    def kill(self) -> None: ...

    def kept(self) -> list[dict[str, Any]]:
        """The events it has, in order."""
        ...

    def send(self, *events: dict[str, Any]) -> None:
        """Put events of others into what services listen to."""
        ...


class _Server:
    """One server with a folder of its own, which outlives its process."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="everyitem-broker-"))
        with closing(socket.socket()) as one:
            one.bind(("127.0.0.1", 0))
            self.port: int = one.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> None:
        self._process = subprocess.Popen(
            self.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.folder
        )
        while True:
            assert self._process.poll() is None, "the broker does not start"
            try:
                socket.create_connection(("127.0.0.1", self.port), PATIENCE).close()
                return
            except ConnectionRefusedError:
                continue

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None


class NatsBroker(_Server):
    """NATS with JetStream, and a stream that keeps the subject."""

    publisher = "nats"

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        program = need("nats-server", packages=("nats-server",))
        return [program, "-js", "-a", "127.0.0.1", "-p", str(self.port), "-sd", str(self.folder)]

    def start(self) -> None:
        super().start()
        asyncio.run(self._make_stream())

    async def _make_stream(self) -> None:
        import nats

        client = await nats.connect(self.url)
        await client.jetstream().add_stream(name="events", subjects=[TOPIC])
        await client.jetstream().add_stream(name="inbox", subjects=[INBOX])
        await client.close()

    def kept(self) -> list[dict[str, Any]]:
        return asyncio.run(self._read())

    async def _read(self) -> list[dict[str, Any]]:
        import nats

        client = await nats.connect(self.url)
        stream = client.jetstream()
        count = (await stream.stream_info("events")).state.messages
        subscription = await stream.subscribe(TOPIC, ordered_consumer=True)
        found = [json.loads((await subscription.next_msg(PATIENCE)).data) for _ in range(count)]
        await client.close()
        return found

    def send(self, *events: dict[str, Any]) -> None:
        asyncio.run(self._send(events))

    async def _send(self, events: tuple[dict[str, Any], ...]) -> None:
        import nats

        client = await nats.connect(self.url)
        for event in events:
            await client.jetstream().publish(INBOX, json.dumps(event).encode())
        await client.close()


class RedisBroker(_Server):
    """Redis with a log it writes at once."""

    publisher = "redis"

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        program = need("redis-server", packages=("redis-server",))
        options = ["--bind", "127.0.0.1", "--appendonly", "yes", "--appendfsync", "always", "--save", ""]
        return [program, "--port", str(self.port), "--dir", str(self.folder), *options]

    def kept(self) -> list[dict[str, Any]]:
        import redis

        with redis.Redis.from_url(self.url) as client:
            entries: Any = client.xrange(TOPIC)
        return [json.loads(fields[b"event"]) for _, fields in entries]

    def send(self, *events: dict[str, Any]) -> None:
        import redis

        with redis.Redis.from_url(self.url) as client:
            for event in events:
                client.xadd(INBOX, {"event": json.dumps(event)})


@contextmanager
def running(kind: type[NatsBroker] | type[RedisBroker]) -> Iterator[NatsBroker | RedisBroker]:
    """A broker for a while."""
    broker = kind()
    broker.start()
    try:
        yield broker
    finally:
        broker.kill()
        shutil.rmtree(broker.folder, ignore_errors=True)
