"""The stream process: connections, tokens and probes, where no batch can get in the way.

Started by the member with one end of a socket pair as its only argument; ends when the other end is gone.
"""

import asyncio
import contextlib
import itertools
import random
import signal
import socket
import sys
from typing import Final, cast

import grpc
import grpc.aio

from everyitem.faces.cyoda import messages
from everyitem.faces.cyoda.backoff import Backoff
from everyitem.faces.cyoda.channel import (
    REASON_LOST,
    Stream,
    open_channel,
    search,
    start_streaming,
    text_of,
    to_event,
)
from everyitem.faces.cyoda.conversation import Complain, Conversation, Deliver, Part, Say
from everyitem.faces.cyoda.conversation import Joined as Greeted
from everyitem.faces.cyoda.frames import (
    Answer,
    Asked,
    Connect,
    Finish,
    FromStream,
    Joined,
    Lost,
    Warned,
    frame,
    next_frame,
    read_to_stream,
)
from everyitem.faces.cyoda.messages import Message, Request, Unreadable
from everyitem.faces.cyoda.protocol.cloudevents_pb2 import CloudEvent
from everyitem.ports.bearer import BearerTokens, TokenRefused
from everyitem.settings.credentials import Credentials

#: Bytes the member may be behind before requests are refused here.
_BACKLOG: Final = 256 << 20
#: Seconds an entity that is not attached may take to fetch.
_FETCHING: Final = 25.0
#: Seconds the platform has to end a stream we have closed.
_GOODBYE: Final = 2.0
#: Ends of a stream after which the next one has a new token: it was refused, or may have been.
_PERHAPS_THE_TOKEN: Final = (grpc.StatusCode.UNAUTHENTICATED, REASON_LOST)


class StreamBroken(Exception):
    """A stream is at its end; says why."""


class Wire:
    """The way to the member."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    @property
    def is_full(self) -> bool:
        """Whether the member does not keep up."""
        return self._writer.transport.get_write_buffer_size() > _BACKLOG

    def send(self, value: FromStream) -> None:
        """Hand over without waiting: whoever waited here would keep a probe waiting."""
        self._writer.write(frame(value))


class Endpoint:
    """One endpoint: a stream, and after its end the next one, for ever."""

    def __init__(
        self,
        address: str,
        setup: Connect,
        wire: Wire,
        numbers: "itertools.count[int]",
        tokens: BearerTokens | None,
    ) -> None:
        self._address, self._setup, self._wire, self._numbers = address, setup, wire, numbers
        self._tokens = tokens
        self._stream: int | None = None
        self._outbox: asyncio.Queue[Message | None] = asyncio.Queue()
        self._finished = asyncio.Event()

    def answer(self, answer: Answer) -> None:
        """Send an answer if its stream is the present one."""
        if answer.stream == self._stream:
            self._outbox.put_nowait(answer.message)

    def finish(self) -> None:
        """Send what is under way, then close."""
        self._finished.set()
        self._outbox.put_nowait(None)

    async def serve(self) -> None:
        """Keep a stream up until `finish`."""
        backoff = Backoff(random.random, longest=self._setup.longest_wait)
        clock = asyncio.get_running_loop().time
        while not self._finished.is_set():
            began = clock()
            reason = await self._one_stream()
            number, self._stream = self._stream, None
            self._wire.send(Lost(-1 if number is None else number, self._address, reason))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._finished.wait(), backoff.after(clock() - began))

    async def _one_stream(self) -> str:
        """Have one stream until it ends; returns why it did."""
        token = None
        try:
            token = await self._token()
            channel = open_channel(self._address, tls=self._setup.tls, authorities=self._setup.authorities)
            async with channel:
                await self._converse(channel, token)
        except grpc.aio.AioRpcError as error:
            if error.code() in _PERHAPS_THE_TOKEN and self._tokens and token:
                self._tokens.drop(token)
            return f"{error.code().name}: {error.details()}"
        except (StreamBroken, TokenRefused) as error:
            return str(error)
        except OSError as error:
            return f"{type(error).__name__}: {error}"
        return "closed"

    async def _token(self) -> str | None:
        return None if self._tokens is None else await asyncio.to_thread(self._tokens.current)

    async def _converse(self, channel: grpc.aio.Channel, token: str | None) -> None:
        call = start_streaming(channel, token)
        self._outbox = asyncio.Queue()
        self._stream = next(self._numbers)
        conversation = Conversation(
            tag=self._setup.tag, processors=self._setup.processors, least_patience=self._setup.silence
        )
        for action in conversation.begin():
            await self._act(action, channel)
        writing = asyncio.create_task(self._write(call))
        try:
            await self._listen(call, conversation, channel)
        finally:
            writing.cancel()
            call.cancel()
            await asyncio.gather(writing, return_exceptions=True)

    async def _listen(self, call: Stream, conversation: Conversation, channel: grpc.aio.Channel) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            patience = _GOODBYE if self._finished.is_set() else conversation.patience
            try:
                event = await asyncio.wait_for(call.read(), patience)
            except TimeoutError:
                raise StreamBroken(f"the platform has said nothing for {patience:g} s") from None
            if not isinstance(event, CloudEvent):
                code, details = await call.code(), await call.details()
                raise StreamBroken(f"the platform ended the stream: {code.name} {details or ''}".rstrip())
            for action in conversation.hear(event.type, text_of(event), now=clock()):
                await self._act(action, channel)

    async def _act(self, action: object, channel: grpc.aio.Channel) -> None:
        match action:
            case Say(message):
                self._outbox.put_nowait(message)
            case Deliver(request):
                await self._deliver(request, channel)
            case Greeted(member_id, tenant):
                self._wire.send(Joined(self._number, self._address, member_id, tenant))
            case Complain(about):
                self._wire.send(Warned(f"{self._address}: not understood and passed over: {about[:300]}"))
            case Part(reason):
                raise StreamBroken(reason)

    @property
    def _number(self) -> int:
        assert self._stream is not None
        return self._stream

    async def _deliver(self, request: Request, channel: grpc.aio.Channel) -> None:
        if self._wire.is_full:
            text = "the member does not keep up with its requests"
            self._outbox.put_nowait(messages.fail(request, "OVERLOADED", text, retryable=True))
        elif request.data is None:
            fetching = asyncio.create_task(self._fetch(request, self._number, channel))
            _fetching.add(fetching)
            fetching.add_done_callback(_fetching.discard)
        else:
            self._wire.send(Asked(self._number, request))

    async def _fetch(self, request: Request, stream: int, channel: grpc.aio.Channel) -> None:
        """Get the entity of a request that came without it, beside the reading of the stream."""
        try:
            reply = await search(
                channel, await self._token(), messages.get_entity(request.entity_id), patience=_FETCHING
            )
            data = messages.read_entity(reply)
        except (Unreadable, TokenRefused, grpc.aio.AioRpcError, OSError) as error:
            said = error.details() if isinstance(error, grpc.aio.AioRpcError) else str(error)
            text = f"the entity cannot be fetched: {said}"
            self.answer(Answer(stream, messages.fail(request, "ENTITY_UNAVAILABLE", text, retryable=True)))
        else:
            self._wire.send(Asked(stream, messages.with_data(request, data)))

    async def _write(self, call: Stream) -> None:
        """The stream's one writer."""
        while (message := await self._outbox.get()) is not None:
            await call.write(to_event(message))
        # half-closing ends the stream at the platform, after it has read everything before
        await call.done_writing()


#: Keeps running tasks from being collected.
_fetching: set["asyncio.Task[None]"] = set()


async def serve(connection: socket.socket) -> None:
    """Connect as the member says, and carry frames both ways until it is gone or says `Finish`."""
    reader, writer = await asyncio.open_unix_connection(sock=connection)
    first = await next_frame(reader)
    if first is None:
        return
    setup, wire, numbers = cast("Connect", read_to_stream(first)), Wire(writer), itertools.count(1)
    tokens = None if setup.credentials is None else _tokens(setup.credentials)
    endpoints = [Endpoint(address, setup, wire, numbers, tokens) for address in setup.endpoints]
    serving = [asyncio.create_task(one.serve()) for one in endpoints]
    listening = asyncio.create_task(_obey(reader, endpoints))
    done, _ = await asyncio.wait([listening, *serving], return_when=asyncio.FIRST_COMPLETED)
    if listening in done and listening.result():
        await asyncio.wait(serving, timeout=2 * _GOODBYE)
    for task in (listening, *serving):
        task.cancel()
    with contextlib.suppress(OSError):
        await writer.drain()
    for task in done - {listening}:
        await task


def _tokens(credentials: Credentials) -> BearerTokens:
    """For all endpoints together: it is one platform."""
    # whoever needs no token starts without all of this
    from everyitem import compose

    return compose.client_tokens(credentials)


async def _obey(reader: asyncio.StreamReader, endpoints: list[Endpoint]) -> bool:
    """Carry out what the member says; True when it wants an end in good order, False when it is gone."""
    while (body := await next_frame(reader)) is not None:
        match read_to_stream(body):
            case Answer() as answer:
                for endpoint in endpoints:
                    endpoint.answer(answer)
            case Finish():
                for endpoint in endpoints:
                    endpoint.finish()
                return True
    return False


def main() -> None:
    """Run until the member is gone; signals are the member's business."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    asyncio.run(serve(socket.socket(fileno=int(sys.argv[1]))))


if __name__ == "__main__":
    main()
