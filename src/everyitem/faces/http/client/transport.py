"""Requests and answers of the HTTP API: one connection, and refusals as the errors a session raises."""

import http.client
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import IO, Any
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from everyitem.model.errors import (
    ContentDiffers,
    DocumentRefused,
    ErrorCode,
    EveryitemError,
    Problem,
    UnknownBatch,
    UsageError,
    WrongState,
)
from everyitem.model.store_url import port_in, shown_url

#: Bytes of an answer read at a time, and of one that is read whole.
_PART = 64 << 10
#: Seconds to wait for a connection, and for the next bytes of an answer.
TIMEOUT = 60.0


class ServerError(EveryitemError):
    """The server cannot be reached, does not take the request now, or has made a mistake."""

    code = ErrorCode.SYSTEM_ERROR

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        #: Of the answer; None where there was none.
        self.status = status


class _Entry(msgspec.Struct):
    path: str = ""
    message: str = ""
    code: str = ErrorCode.EXECUTION_ERROR


class _Refusal(msgspec.Struct, rename="camel"):
    title: str = ""
    detail: str = ""
    errors: list[_Entry] = []


class Transport:
    """One connection to a server, opened when first needed. Use it from one thread."""

    def __init__(
        self, url: str, *, token: str | None, timeout: float = TIMEOUT, ca: str | None = None
    ) -> None:
        """`url` is `http://HOST:PORT` or `https://...`; `ca` names a PEM file of authorities to trust.

        Raises:
            UsageError: the URL is none of these.
        """
        try:
            place = urlsplit(url)
            port = port_in(place)
        except ValueError as error:
            raise UsageError(f"server {shown_url(url)!r}: {error}") from None
        if place.scheme not in ("http", "https") or not place.hostname or place.query or place.fragment:
            raise UsageError(f"server {shown_url(url)!r}: name it like http://127.0.0.1:8484")
        self.url = f"{place.scheme}://{place.netloc.rpartition('@')[2]}{place.path.rstrip('/')}"
        self._base = place.path.rstrip("/")
        self._headers = {"Accept": "application/json"}
        if token:
            if not token.isascii() or not token.isprintable():
                raise UsageError("the token holds characters no token has")
            self._headers["Authorization"] = f"Bearer {token}"
        if place.scheme == "https":
            context = ssl.create_default_context(cafile=ca)
            self._connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                place.hostname, port, timeout=timeout, context=context
            )
        else:
            self._connection = http.client.HTTPConnection(place.hostname, port, timeout=timeout)

    def close(self) -> None:
        """Free the connection."""
        self._connection.close()

    def get(self, path: str, /, **query: object) -> bytes:
        """The body of an answer."""
        return self._whole("GET", path, query, None)

    def send(self, method: str, path: str, value: object = None, /, **query: object) -> bytes:
        """Send a value as JSON (None: nothing); the body of the answer."""
        return self._whole(method, path, query, None if value is None else msgspec.json.encode(value))

    def upload(self, path: str, document: bytes | IO[bytes], /, **query: object) -> tuple[int, bytes]:
        """Send a JSON text, or a file that holds one; status and body of the answer."""
        with self._answer("POST", path, query, document) as answer:
            return answer.status, answer.read()

    def lines(self, path: str, /, **query: object) -> Iterator[bytes]:
        """The lines of an answer, as they come.

        Raises:
            ServerError: the answer was cut.
        """
        with self._answer("GET", path, query, None) as answer:
            rest = b""
            while part := _read(answer):
                *whole, rest = (rest + part).split(b"\n")
                yield from whole
            if rest:
                yield rest

    def _whole(self, method: str, path: str, query: Mapping[str, object], body: bytes | None) -> bytes:
        with self._answer(method, path, query, body) as answer:
            return answer.read()

    @contextmanager
    def _answer(
        self, method: str, path: str, query: Mapping[str, object], body: bytes | IO[bytes] | None
    ) -> Iterator[http.client.HTTPResponse]:
        given = {name: value for name, value in query.items() if value is not None}
        target = f"{self._base}{path}" + (f"?{urlencode(given, doseq=True)}" if given else "")
        headers = dict(self._headers)
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            answer = self._ask(method, target, body, headers)
            if answer.status >= HTTPStatus.BAD_REQUEST:
                raise _error(answer.status, answer.read(), path)
            yield answer
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise ServerError(f"server {self.url}: {_reason(error)}") from error
        except BaseException:
            # what is left of the answer would be taken for the next one
            self._connection.close()
            raise

    def _ask(
        self, method: str, target: str, body: bytes | IO[bytes] | None, headers: Mapping[str, str]
    ) -> http.client.HTTPResponse:
        is_used = self._connection.sock is not None
        try:
            return self._try(method, target, body, headers)
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            # the server has closed a connection nobody used for a while; every request may be repeated
            self._connection.close()
            if not is_used:
                raise
            if body is not None and not isinstance(body, bytes):
                body.seek(0)
            return self._try(method, target, body, headers)

    def _try(
        self, method: str, target: str, body: bytes | IO[bytes] | None, headers: Mapping[str, str]
    ) -> http.client.HTTPResponse:
        try:
            self._connection.request(method, target, body=body, headers=dict(headers))
        except (BrokenPipeError, ConnectionResetError):
            # refused before all of the body was sent: the answer says why, if it came through
            if body is None or self._connection.sock is None:
                raise
            with suppress(OSError, http.client.HTTPException):
                answer = http.client.HTTPResponse(self._connection.sock, method=method)
                answer.begin()
                return answer
            raise
        return self._connection.getresponse()


def segment(text: str) -> str:
    """An id as one part of a path."""
    return quote(text, safe="")


def _read(answer: http.client.HTTPResponse) -> bytes:
    # not `readline`, which takes a cut answer for its end
    return answer.read1(_PART)


def _reason(error: Exception) -> str:
    match error:
        case http.client.IncompleteRead():
            return "the answer was cut; ask again"
        case TimeoutError():
            return "no answer came in time"
        case OSError():
            return str(error.strerror or error)
        case _:
            return f"not an answer of HTTP ({type(error).__name__})"


def _error(status: int, body: bytes, path: str) -> EveryitemError:
    """The error a session would have raised."""
    try:
        refusal = msgspec.json.decode(body, type=_Refusal)
    except msgspec.MsgspecError:
        refusal = _Refusal(detail=body[:200].decode("utf-8", "replace").strip())
    said = refusal.detail or refusal.title or f"status {status}"
    match status:
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            return UsageError(f"{said} (a token is taken from EVERYITEM_API_TOKEN)")
        case HTTPStatus.NOT_FOUND:
            return UnknownBatch(said)
        case HTTPStatus.CONFLICT if path == "/v1/batches":
            return ContentDiffers(said)
        case HTTPStatus.CONFLICT:
            return WrongState(said)
        case HTTPStatus.UNPROCESSABLE_ENTITY if refusal.errors:
            return DocumentRefused([_problem(one) for one in refusal.errors])
        case HTTPStatus.UNPROCESSABLE_ENTITY | HTTPStatus.BAD_REQUEST:
            return UsageError(said)
        case _:
            return ServerError(said, status=status)


def _problem(entry: _Entry) -> Problem:
    known: Any = entry.code if entry.code in list(ErrorCode) else ErrorCode.EXECUTION_ERROR
    return Problem(entry.path, entry.message, ErrorCode(known))
