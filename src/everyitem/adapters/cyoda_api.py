"""The REST API of the Cyoda platform, for whoever reads entities, writes results or publishes events."""

import http.client
import ssl
import threading
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import msgspec

from everyitem.adapters.oauth2 import ClientTokens
from everyitem.model.errors import UsageError
from everyitem.model.retry_after import seconds_asked
from everyitem.model.store_url import shown_url
from everyitem.ports.bearer import BearerTokens, TokenRefused
from everyitem.settings.credentials import Credentials

#: Answers that say nothing about what was asked: it may be asked again as it is.
_AWAY: Final = frozenset(
    (
        *(HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.REQUEST_TIMEOUT),
        *(HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS),
    )
)
#: Seconds after which a connection that was kept open is not trusted to be open still.
_IDLE: Final = 4.0
#: Characters of an answer that a message quotes.
_QUOTED: Final = 500
#: The longest wait the platform may ask for, in seconds.
_LONGEST: Final = 300.0

#: What is wrong where a model is not as it must be: the operator mends it, whatever is written.
UNFIT_MODEL: Final = frozenset(("MODEL_NOT_FOUND", "MODEL_NOT_LOCKED"))
#: Another entity has the unique key already.
TAKEN: Final = "UNIQUE_VIOLATION"


class PlatformAway(Exception):
    """The platform does not answer now, or not us; nothing is known about what was asked."""

    def __init__(self, reason: str, *, wait: float | None = None) -> None:
        """`wait`: seconds the platform asks for."""
        super().__init__(reason)
        self.wait = wait


class PlatformRefused(Exception):
    """The platform does not want this; `code` is its own name for why, empty where it says none."""

    def __init__(self, message: str, *, status: int, code: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class _Properties(msgspec.Struct, frozen=True, rename="camel"):
    error_code: str = ""
    retryable: bool = False


class _Problem(msgspec.Struct):
    detail: str = ""
    properties: _Properties = _Properties()


_read_problem = msgspec.json.Decoder(_Problem).decode


class CyodaApi:
    """Calls of one caller: one connection, kept open. Used from one thread."""

    def __init__(self, url: str, *, tokens: BearerTokens | None, timeout: float) -> None:
        """`url` is like https://HOST/api; `timeout` in seconds for each step of a call.

        Raises `UsageError` for a URL nothing can be asked at.
        """
        self._base = url.rstrip("/")
        self._connection = _connection(self._base, timeout)
        self._path = urlsplit(self._base).path
        self._tokens = tokens
        self._used_at = 0.0

    def get(self, path: str, **query: object) -> bytes:
        """The answer to a GET. Raises `PlatformAway` and `PlatformRefused`, as every call."""
        return self.call("GET", path, query=query)

    def post(self, path: str, body: bytes, **query: object) -> bytes:
        """The answer to a POST of JSON text."""
        return self.call("POST", path, body, query=query)

    def call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        query: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """The body of the answer. What is asked may have been done even where no answer came."""
        target = f"{self._path}{path}" + (f"?{urlencode(query)}" if query else "")
        sent = {"Accept": "application/json", "Content-Type": "application/json", **(headers or {})}
        if method != "GET" and time.monotonic() > self._used_at + _IDLE:
            # the other side may have closed it, and what fails on it must not be sent again unlooked
            self._connection.close()
        token = ""
        if self._tokens is not None:
            token = self._token(self._tokens)
            sent["Authorization"] = f"Bearer {token}"
        status, answer, wait = _exchange(self._connection, method, target, body, sent)
        self._used_at = time.monotonic()
        if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            return answer
        problem = _problem_of(answer)
        said = problem.detail or answer.decode("utf-8", "replace").strip()
        where = shown_url(f"{self._base}{path}")
        message = f"{method} {where}: {status}" + (f": {said[:_QUOTED]}" if said else "")
        if status == HTTPStatus.UNAUTHORIZED and self._tokens is not None:
            self._tokens.drop(token)
        is_away = status in _AWAY or status >= HTTPStatus.INTERNAL_SERVER_ERROR
        if is_away or problem.properties.retryable:
            raise PlatformAway(message, wait=wait)
        raise PlatformRefused(message, status=status, code=problem.properties.error_code)

    def close(self) -> None:
        """Free the connection; the next call opens another one."""
        self._connection.close()

    @staticmethod
    def _token(tokens: BearerTokens) -> str:
        try:
            return tokens.current()
        except TokenRefused as refused:
            # the credentials may be wrong, which says nothing about what was to be asked
            raise PlatformAway(str(refused), wait=refused.wait) from refused


class CyodaApis:
    """Calls of several threads: a connection for each of them, and a token for all together."""

    def __init__(self, url: str, *, credentials: Credentials | None, timeout: float) -> None:
        """As for `CyodaApi`; raises `UsageError` now for a URL nothing can be asked at."""
        self._url, self._timeout = url, timeout
        self._tokens = None if credentials is None else ClientTokens(credentials, timeout=timeout)
        self._own = threading.local()
        self._all: list[CyodaApi] = []
        self.mine()

    def mine(self) -> CyodaApi:
        """This thread's."""
        api: CyodaApi | None = getattr(self._own, "api", None)
        if api is None:
            self._own.api = api = CyodaApi(self._url, tokens=self._tokens, timeout=self._timeout)
            # appending is atomic
            self._all.append(api)
        return api

    def close(self) -> None:
        """Free all connections, once no thread uses its own any more."""
        for api in self._all:
            api.close()


def _connection(url: str, timeout: float) -> http.client.HTTPConnection:
    place = urlsplit(url)
    try:
        host, port = place.hostname or "", place.port
    except ValueError:
        host, port = "", None
    if place.scheme not in ("http", "https") or not host or "@" in place.netloc:
        raise UsageError(f"the platform's url {shown_url(url)!r}: name it like https://cyoda.example/api")
    if place.scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=timeout)
    return http.client.HTTPSConnection(host, port, timeout=timeout, context=ssl.create_default_context())


def _exchange(
    connection: http.client.HTTPConnection, method: str, target: str, body: bytes | None, headers: Any
) -> tuple[int, bytes, float | None]:
    """Status, body, and the seconds to wait that were asked for. Raises `PlatformAway`."""
    where = f"{connection.host}:{connection.port}"
    # what changes nothing may be sent again on another connection; what changes something never is, unlooked
    may_repeat = method == "GET" and connection.sock is not None
    for is_again in (False, True):
        try:
            connection.request(method, target, body, headers)
            answer = connection.getresponse()
            wait = seconds_asked(answer.headers.get("Retry-After"), longest=_LONGEST)
            return answer.status, answer.read(), wait
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError) as error:
            # one that was kept open may have been closed by the other side meanwhile
            connection.close()
            if is_again or not may_repeat:
                raise PlatformAway(f"{where}: {error}") from error
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise PlatformAway(f"{where}: {str(error) or type(error).__name__}") from error
    raise AssertionError("the second try answers or raises")


def _problem_of(answer: bytes) -> _Problem:
    try:
        return _read_problem(answer)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _Problem()
