"""The HTTP side of a Cyoda platform for tests: tokens, and the calls of the set-up."""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CLIENT, SECRET = "member", "s3cr3t"


class CyodaWeb:
    """A server on a free port of the loopback interface."""

    def __init__(self) -> None:
        #: Method and path of every call but those for tokens.
        self.calls: list[tuple[str, str]] = []
        self.bodies: dict[str, Any] = {}
        #: The tokens handed out; the last one is the one that is valid.
        self.tokens: list[str] = []
        #: The end of each locked model's path: `NAME/VERSION`.
        self.locked: set[str] = set()
        #: Whether models may have unique keys; not every store can.
        self.keeps_keys = True
        #: Whether calls need the valid token.
        self.guarded = False
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.handle(self)

            do_PUT = do_POST  # noqa: N815 - the name the standard library looks for

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/api"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def valid(self) -> str:
        """The token that is accepted."""
        return self.tokens[-1] if self.tokens else ""

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        if request.path == "/api/oauth/token":
            self._token(request, body)
            return
        if self.guarded and request.headers["Authorization"] != f"Bearer {self.valid()}":
            self._reply(request, 401, {"detail": "no valid token"})
            return
        self.calls.append((request.command, request.path))
        if body:
            self.bodies[request.path] = json.loads(body)
        model = "/".join(request.path.split("/")[-2:])
        if "/model/import/" in request.path and model in self.locked:
            properties = {"errorCode": "MODEL_ALREADY_LOCKED"}
            self._reply(request, 409, {"detail": "locked", "properties": properties})
            return
        if request.path.endswith("/unique-keys") and not self.keeps_keys:
            self._reply(request, 422, {"properties": {"errorCode": "COMPOSITE_KEY_UNSUPPORTED"}})
            return
        if request.path.endswith("/lock"):
            self.locked.add("/".join(request.path.split("/")[-3:-1]))
        self._reply(request, 200, {"success": True})

    def _token(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        pair = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        if request.headers["Authorization"] != f"Basic {pair}" or body != b"grant_type=client_credentials":
            self._reply(request, 401, {"error": "invalid_client"})
            return
        self.tokens.append(f"token-{len(self.tokens)}")
        self._reply(request, 200, {"access_token": self.valid(), "token_type": "Bearer", "expires_in": 3600})

    @staticmethod
    def _reply(request: BaseHTTPRequestHandler, status: int, content: dict[str, Any]) -> None:
        text = json.dumps(content).encode()
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(text)))
        request.end_headers()
        request.wfile.write(text)
