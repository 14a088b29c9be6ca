"""F35: nobody gets in without a token, whatever he tries."""

import http.client
import json
import subprocess
import sys
import urllib.parse

import pytest
from tests.services.http_server import PATIENCE, serving

TOKEN = "the-administrators-token-of-this-test"
#: What anybody may ask.
OPEN = {("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/login"), ("POST", "/login")}


@pytest.fixture(scope="module")
def server(tmp_path_factory, root):
    """A server other machines could reach."""
    folder = tmp_path_factory.mktemp("access")
    with serving(folder, root / "src", "--host", "0.0.0.0", EVERYITEM_API_TOKEN=TOKEN) as running:
        yield running


@pytest.fixture(scope="module")
def routes():
    """Every route there is, taken from the application itself: a new one cannot be forgotten here."""
    from everyitem.faces.http.app import every_route

    found = [(method, path.replace("{batch_id}", "b").replace("{item_id}", "0").replace("{token_id}", "ab"))
             for method, path in every_route()]  # fmt: skip
    assert len(found) > 25
    return [one for one in found if one not in OPEN]


def attempt(server, method, target, headers=()):
    """One request exactly as given: nothing is normalised on its way."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    try:
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        given = {"Host": f"127.0.0.1:{server.port}", "Content-Length": "0", **dict(headers)}
        for name, value in given.items():
            if value is not None:
                connection.putheader(name, value)
        connection.endheaders()
        return connection.getresponse().status
    finally:
        connection.close()


def encoded(path):
    return "/" + "".join(f"%{ord(one):02x}" for one in path[1:])


TRICKS = {
    "no token": lambda m, p: (m, p, {}),
    "a wrong token": lambda m, p: (m, p, {"Authorization": "Bearer eit_0123456789ab_" + "A" * 43}),
    "another scheme": lambda m, p: (m, p, {"Authorization": f"Basic {TOKEN}"}),
    "the token in the query": lambda m, p: (m, f"{p}?token={TOKEN}&access_token={TOKEN}", {}),
    "the token in a cookie": lambda m, p: (m, p, {"Cookie": f"everyitem_session={TOKEN}; token={TOKEN}"}),
    "two slashes": lambda m, p: (m, "/" + p, {}),
    "a way through an open place": lambda m, p: (m, "/healthz/.." + p, {}),
    "an encoded path": lambda m, p: (m, encoded(p), {}),
    "an open place as a parameter": lambda m, p: (m, p + ";/healthz", {}),
    "another method's header": lambda m, p: (
        "GET", p, {"X-HTTP-Method-Override": m, "X-Original-URL": "/healthz", "X-Rewrite-Url": "/healthz"}
    ),
    "HEAD": lambda m, p: ("HEAD", p, {}),
    "a web socket from this machine": lambda m, p: (
        "GET",
        p,
        {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Key": "x" * 22 + "==",
            "Sec-WebSocket-Version": "13",
            "X-Forwarded-For": "127.0.0.1",
            "X-Forwarded-Host": "localhost",
            "Forwarded": "for=127.0.0.1",
        },
    ),
    "an event stream": lambda m, p: ("GET", p, {"Accept": "text/event-stream", "Last-Event-ID": "0"}),
    "as a proxy would ask": lambda m, p: (m, f"http://127.0.0.1/healthz/../{p}", {}),
}  # fmt: skip


@pytest.mark.parametrize("trick", TRICKS)
def test_every_route_is_closed_to_every_trick(server, routes, trick):
    """401 or 403, and nothing else."""
    answers = {(method, path): attempt(server, *TRICKS[trick](method, path)) for method, path in routes}
    assert {one: status for one, status in answers.items() if status not in (401, 403)} == {}


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/redoc", "/static/app.js", "/favicon.ico", "/v1", "/nothing"]
)
def test_what_is_not_there_is_closed_as_well(server, path):
    """Who may not come in is not told what there is."""
    assert attempt(server, "GET", path) == 401


def test_with_the_token_the_doors_open(server):
    """It is the token that lets in, and health and the form need none."""
    assert attempt(server, "GET", "/v1/batches", {"Authorization": f"Bearer {TOKEN}"}) == 200
    assert attempt(server, "GET", "/v1/batches", {"Authorization": f"bearer {TOKEN}"}) == 200
    for path in ("/healthz", "/readyz", "/login"):
        assert attempt(server, "GET", path) == 200


def test_a_token_can_do_what_its_scope_says_until_it_is_revoked(server):
    """read looks, run changes, admin manages tokens; a revoked one does nothing from that moment."""
    admin = {"Authorization": f"Bearer {TOKEN}"}
    for scope, looks, changes, manages in (
        ("read", 200, 403, 403),
        ("run", 200, 404, 403),
        ("admin", 200, 404, 200),
    ):
        made = server.request("POST", "/v1/tokens", {"name": scope, "scope": scope}, headers=admin).json
        mine = {"Authorization": f"Bearer {made['token']}"}
        assert server.request("GET", "/v1/batches", headers=mine).status == looks
        assert server.request("POST", "/v1/batches/b/pause", headers=mine).status == changes
        assert server.request("GET", "/v1/tokens", headers=mine).status == manages
        gone = server.request("DELETE", f"/v1/tokens/{made['tokenId']}", headers=admin)
        assert gone.status == 204
        assert server.request("GET", "/v1/batches", headers=mine).status == 401


def test_a_browser_logs_in_and_proves_each_change(server):
    """A session's cookie reads; to change something its page sends the CSRF token, and no other site can."""
    form = server.get("/login")
    csrf = form.body.decode().split('name="csrf" value="')[1].split('"')[0]
    cookie = form.headers["set-cookie"].split(";")[0]
    assert "samesite=strict" in form.headers["set-cookie"].lower()
    assert "httponly" in form.headers["set-cookie"].lower()

    def submit(token, csrf):
        body = urllib.parse.urlencode({"csrf": csrf, "token": token}).encode()
        kind = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": cookie}
        return server.request("POST", "/login", body=body, headers=kind)

    assert submit(TOKEN, "forged").status == 403
    assert submit("wrong", csrf).status == 403
    opened = submit(TOKEN, csrf)
    assert (opened.status, opened.headers["location"]) == (303, "/")
    mine = {"Cookie": next(one for one in opened.cookies if one.startswith("everyitem_session="))}
    session = server.request("GET", "/v1/session", headers=mine).json
    assert (session["name"], session["scope"]) == ("admin", "admin")
    assert server.request("POST", "/v1/batches/b/pause", headers=mine).status == 403
    proved = {**mine, "X-CSRF-Token": session["csrfToken"]}
    assert server.request("POST", "/v1/batches/b/pause", headers=proved).status == 404
    foreign = {**proved, "Origin": "https://evil.example"}
    assert server.request("POST", "/v1/batches/b/pause", headers=foreign).status == 403
    assert server.request("DELETE", "/v1/session", headers=proved).status == 204
    assert server.request("GET", "/v1/batches", headers=mine).status == 401


def test_off_loopback_it_refuses_to_start_without_a_token(tmp_path):
    """Nothing is bound that everybody could use."""
    store = f"sqlite:///{tmp_path}/s.db"
    done = subprocess.run(
        [sys.executable, "-m", "everyitem", "serve", "--host", "0.0.0.0", "--port", "0", "--store", store],
        capture_output=True,
        check=False,
        text=True,
        timeout=PATIENCE,
        cwd=tmp_path,
    )
    assert done.returncode == 2
    assert "nobody has a token" in done.stderr


def test_on_loopback_pages_of_others_are_kept_out(tmp_path, root):
    """No token is asked for, so `Host`, `Origin` and the content type are; a wrong token is still wrong."""
    with serving(tmp_path, root / "src") as server:
        assert server.get("/v1/batches").status == 200
        for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Origin": "null"}):
            assert server.request("GET", "/v1/batches", headers=headers).status == 403
        assert server.request("GET", "/v1/batches", headers={"Authorization": "Bearer x"}).status == 401
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
            answer = server.request("POST", "/v1/batches", body=b"{}", headers={"Content-Type": kind})
            assert answer.status == 415


def test_the_audit_log_tells_who_did_what_and_when(tmp_path, root):
    """One line for each changing request, refused ones too, under the request's id and without any secret."""
    with serving(
        tmp_path, root / "src", "--audit-log", tmp_path / "audit", EVERYITEM_API_TOKEN=TOKEN
    ) as server:
        mine = {"Authorization": f"Bearer {TOKEN}", "X-Request-Id": "my-request.1"}
        answer = server.request("POST", "/v1/batches/b/cancel?token=hidden", headers=mine)
        assert (answer.status, answer.headers["x-request-id"]) == (404, "my-request.1")
        server.request("POST", "/v1/batches/b/cancel", headers={"Authorization": "Bearer wrong"})
    first, second = map(json.loads, (tmp_path / "audit").read_text().splitlines())
    wanted = {"requestId": "my-request.1", "who": "admin", "method": "POST", "status": 404}
    assert first.items() >= wanted.items()
    assert (first["path"], first["from"]) == ("/v1/batches/b/cancel", "127.0.0.1")
    assert (second["who"], second["status"]) == (None, 401)
    assert TOKEN not in (tmp_path / "audit").read_text()
