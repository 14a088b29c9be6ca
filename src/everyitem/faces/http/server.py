"""The server: a socket, an event loop on a thread of its own, and the order in which all of it ends."""

import asyncio
import contextlib
import logging
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn

from everyitem import compose
from everyitem.faces.api.conduct import Inbox
from everyitem.faces.http.app import build_app
from everyitem.faces.http.context import access, audit
from everyitem.faces.http.options import HttpOptions
from everyitem.faces.http.receipt import protocol_with
from everyitem.faces.http.security.login import Login
from everyitem.faces.http.security.sessions import Sessions
from everyitem.faces.http.security.tokens import Credentials, is_valid
from everyitem.faces.http.serving import Serving
from everyitem.faces.service.service import Service
from everyitem.model.errors import UsageError
from everyitem.model.store_url import shown_url
from everyitem.settings import Settings

#: The administrator's token.
TOKEN_VARIABLE = "EVERYITEM_API_TOKEN"  # noqa: S105 - the variable's name is no secret
#: Shorter ones can be guessed by trying.
_SHORT_TOKEN = 20
#: Seconds answers under way have when the server ends.
_FAREWELL = 5
_BACKLOG = 2048


class Server:
    """`everyitem serve`: ready to `run` once made. `stop` and `stop_now` may be called from any thread."""

    def __init__(
        self,
        settings: Settings,
        options: HttpOptions,
        *,
        inbox: Inbox,
        say: Callable[[str], None],
    ) -> None:
        """Binds the socket and opens the store.

        Raises:
            UsageError: the address cannot be used, or others could reach a server that asks for no token.
        """
        # not for the workers: what they run has no business with it
        admin_token = os.environ.pop(TOKEN_VARIABLE, None)
        self._options, self._inbox, self._say = options, inbox, say
        self._tls = _tls(options)
        self._store_url = settings.store or compose.default_store_url()
        tokens = compose.open_tokens(self._store_url)
        if not options.is_local and not admin_token and not any(is_valid(one) for one in tokens.all()):
            tokens.close()
            raise UsageError(
                f"{options.host} can be reached from other machines, and nobody has a token yet: set "
                f"{TOKEN_VARIABLE}, or make one with `everyitem token create`; or bind to 127.0.0.1"
            )
        if admin_token and len(admin_token) < _SHORT_TOKEN:
            say(f"warning: {TOKEN_VARIABLE} is short enough to be guessed; 32 random characters are not")
        self._socket = _bind(options)
        self._service = Service(settings)
        credentials, sessions = Credentials(tokens, admin_token=admin_token), Sessions()
        self._serving = Serving(
            settings=settings,
            options=options,
            service=self._service,
            tokens=tokens,
            sessions=sessions,
            login=Login(credentials, sessions),
        )
        self._uvicorn = _Uvicorn(
            uvicorn.Config(
                build_app(self._serving, credentials),
                http=protocol_with(options.receipt),
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=bool(options.proxies),
                forwarded_allow_ips=list(options.proxies),
                timeout_keep_alive=20,
                timeout_graceful_shutdown=_FAREWELL,
                h11_max_incomplete_event_size=32 << 10,
                backlog=_BACKLOG,
            ),
            self._tls,
            handshake_seconds=options.head_seconds,
        )

    @property
    def url(self) -> str:
        """Where it is."""
        host, port = self._socket.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        return f"{'https' if self._tls else 'http'}://{shown}:{port}"

    def run(self) -> None:
        """Serve until `stop` is called."""
        failure: list[BaseException] = []

        def serve() -> None:
            try:
                self._uvicorn.run(sockets=[self._socket])
            except BaseException as error:
                failure.append(error)
            finally:
                self._inbox.put(None)

        thread = threading.Thread(target=serve, name="everyitem-http", daemon=True)
        with _logs(self._options, self._say):
            self._service.start()
            try:
                self._inbox.attended = True
                thread.start()
                self._say(f"store: {shown_url(self._store_url)}")
                self._say(f"serving at {self.url}")
                while (request := self._inbox.get()) is not None:
                    if callable(request):
                        request()
                thread.join()
            finally:
                self._service.stop()
                self._serving.tokens.close()
        if failure:
            raise failure[0]

    def stop(self, reason: str) -> None:
        """Take no batches in any more, drain those that run, and end; requests are answered meanwhile."""
        self._serving.stopping.set()
        threading.Thread(target=self._end, args=(None,), name="everyitem-end").start()

    def stop_now(self) -> None:
        """Interrupt items at once, and end."""
        threading.Thread(target=self._end, args=(0.0,), name="everyitem-end-now").start()

    def reached(self, seconds: float) -> bool:
        """Batches run in processes of their own, which nobody who stops the service waits for."""
        return True

    def _end(self, drain: float | None) -> None:
        try:
            self._service.stop(drain=drain)
        finally:
            # whatever could not be ended in good order: nobody waits for a server that serves on for ever
            self._uvicorn.should_exit = True


class _Uvicorn(uvicorn.Server):
    """uvicorn that leaves signals alone and takes a TLS context as it is."""

    def __init__(
        self, config: uvicorn.Config, tls: ssl.SSLContext | None, *, handshake_seconds: float
    ) -> None:
        super().__init__(config)
        config.load()
        config.ssl = tls
        self._handshake_seconds = handshake_seconds

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        if self.config.ssl is None:
            super().run(sockets)
            return
        with asyncio.Runner(loop_factory=lambda: _TlsLoop(self._handshake_seconds)) as runner:
            runner.run(self.serve(sockets))

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _TlsLoop(asyncio.SelectorEventLoop):
    """An event loop that lets go who dribbles a TLS handshake.

    asyncio has a minute's patience, and uvicorn no setting for it.
    """

    def __init__(self, handshake_seconds: float) -> None:
        super().__init__()
        self._handshake_seconds = handshake_seconds

    async def create_server(self, *what: Any, **how: Any) -> asyncio.Server:
        how["ssl_handshake_timeout"] = self._handshake_seconds
        return await super().create_server(*what, **how)


def _bind(options: HttpOptions) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            options.host, options.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        # from here on nobody is turned away: who comes before the loop runs waits for it
        bound.listen(_BACKLOG)
    except OSError as error:
        raise UsageError(
            f"cannot serve at {options.host}:{options.port}: {error.strerror or error}; "
            "choose another --host or --port"
        ) from None
    return bound


def _tls(options: HttpOptions) -> ssl.SSLContext | None:
    if options.certificate is None or options.key is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(options.certificate, options.key)
    except OSError as error:
        raise UsageError(
            f"TLS with {options.certificate} and {options.key}: {error.strerror or error}"
        ) from None
    return context


@contextlib.contextmanager
def _logs(options: HttpOptions, say: Callable[[str], None]) -> Iterator[None]:
    """While inside, the audit log goes to its file or is said; the access log is said where it is wanted."""
    handlers: list[tuple[logging.Logger, logging.Handler]] = [(audit, _audit_handler(options, say))]
    if options.access_log:
        handlers.append((access, _Said(say)))
    for logger, handler in handlers:
        logger.setLevel(logging.INFO)
        logger.addHandler(handler)
        logger.propagate = False
    try:
        yield
    finally:
        for logger, handler in handlers:
            logger.removeHandler(handler)
            logger.setLevel(logging.NOTSET)
            handler.close()


def _audit_handler(options: HttpOptions, say: Callable[[str], None]) -> logging.Handler:
    if options.audit_log is None:
        return _Said(say)
    try:
        return logging.FileHandler(options.audit_log, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"audit log {options.audit_log}: {error.strerror or error}") from None


class _Said(logging.Handler):
    """Hands each record to `say`."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__()
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        self._say(record.getMessage())
