"""Deadlines for receiving: a client that dribbles its request, or does not read its response, is let go.

uvicorn has none: who sends one header byte a minute keeps his connection for ever, and with it a place
others may need. Here the head of a request must be complete within a fixed time, its body must come at a
least pace, and who reads nothing of a response for long enough is cut off.
"""

import asyncio
from dataclasses import dataclass

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle


@dataclass(frozen=True, slots=True)
class Receipt:
    """How patient a server is with a connection."""

    #: Seconds from the connection, or from the first byte of a further request, to the end of the head.
    head_seconds: float = 10.0
    #: Seconds a body may take, and bytes that buy one more second each.
    body_seconds: float = 15.0
    body_bytes_per_second: int = 16 << 10
    #: Seconds without a byte of the response being taken.
    stall_seconds: float = 60.0
    #: Open connections; further ones are answered 503 and closed.
    connections: int = 2000


def _answer(status: int, title: str, detail: str, *headers: str) -> bytes:
    """A whole response, for a connection no application has to do with any more."""
    body = f'{{"type":"about:blank","title":"{title}","status":{status},"detail":"{detail}"}}'
    lines = (
        f"HTTP/1.1 {status} {title}",
        "content-type: application/problem+json",
        f"content-length: {len(body)}",
        "connection: close",
        *headers,
    )
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode("ascii")


_TIMED_OUT = _answer(408, "Request Timeout", "the request was sent too slowly")
_TOO_MANY = _answer(503, "Service Unavailable", "too many connections", "retry-after: 1")


def protocol_with(receipt: Receipt) -> type[H11Protocol]:
    """The protocol class for uvicorn that keeps these deadlines."""

    class Protocol(_PatientProtocol):
        patience = receipt

    return Protocol


class _PatientProtocol(H11Protocol):
    """One connection, watched by one timer at a time while something is expected from the client."""

    patience = Receipt()
    #: When the receipt of the head or body at hand has to be over, by the loop's clock.
    _deadline = 0.0
    _watch: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.patience.connections:
            transport.write(_TOO_MANY)
            transport.close()
            return
        self._expect(self.patience.head_seconds)

    def data_received(self, data: bytes) -> None:
        begun = self._receiving()
        super().data_received(data)
        now = self._receiving()
        if now is None:
            self._expect_nothing()
        elif now != begun or self._watch is None:
            self._expect(self.patience.head_seconds if now == "head" else self.patience.body_seconds)
        elif now == "body":
            self._deadline += len(data) / self.patience.body_bytes_per_second

    def on_response_complete(self) -> None:
        # the next head is waited for by uvicorn's keep-alive timer until its first byte comes
        self._expect_nothing()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect_nothing()
        self._writes_again()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._stalled is None:
            self._stalled = self.loop.call_later(self.patience.stall_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        self._writes_again()
        super().resume_writing()

    def _writes_again(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _receiving(self) -> str | None:
        """What of a request is being received: its `head`, its `body`; None while it is being answered."""
        match self.conn.their_state:
            case h11.IDLE:
                return "head"
            case h11.SEND_BODY:
                return "body"
            case _:
                return None

    def _expect(self, seconds: float) -> None:
        self._deadline = self.loop.time() + seconds
        self._look_at(self._deadline)

    def _look_at(self, when: float) -> None:
        self._expect_nothing()
        self._watch = self.loop.call_at(when, self._look)

    def _expect_nothing(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def _look(self) -> None:
        """The deadline as it was when the timer was set has come."""
        self._watch = None
        if self.transport.is_closing():
            return
        if self.flow.read_paused:
            # it is us who does not read: the client is not to blame for that second
            self._deadline = max(self._deadline, self.loop.time() + 1)
        if self._deadline > self.loop.time():
            self._look_at(self._deadline)
            return
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete or not cycle.response_started:
            self.transport.write(_TIMED_OUT)
        self.transport.close()
