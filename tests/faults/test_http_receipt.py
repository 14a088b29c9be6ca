"""F36, F37: who sends too much is stopped before it is read, who sends too slowly is let go."""

import json
import select
import socket
import ssl
import statistics
import time
from pathlib import Path

import pytest
from tests.faults.rigs.pace import in_time
from tests.services.authority import Authority
from tests.services.http_server import PATIENCE, serving

_HEAD = b"POST /v1/batches HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
_MB = 1 << 20
#: The patience of the servers of this file: as much as a client may need on a busy machine.
SECONDS = 3


@pytest.fixture(scope="module")
def server(tmp_path_factory, root):
    """A server with low limits and little patience."""
    folder = tmp_path_factory.mktemp("receipt")
    (folder / "everyitem.toml").write_text(
        "maxDocumentBytes = 1000000\n[http]\n"
        f"head-seconds = {SECONDS}\nbody-seconds = {SECONDS}\nmax-request-bytes = 100000\n"
        "max-connections = 600\nmax-streams = 1\n"
    )
    with serving(folder, root / "src") as running:
        yield running


def connect(server):
    return socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)


def status_of(connection):
    """The status of the answer; None when the connection was closed without one."""
    connection.settimeout(PATIENCE)
    head = b""
    try:
        while b"\r\n" not in head and (part := connection.recv(4096)):
            head += part
    except ConnectionResetError:
        pass
    return int(head.split(b" ")[1]) if head else None


def memory_of(server):
    """The process's memory now, in bytes."""
    told = Path(f"/proc/{server.process.pid}/status").read_text()
    return next(int(line.split()[1]) << 10 for line in told.splitlines() if line.startswith("VmRSS"))


@pytest.mark.parametrize(
    ("announced", "status"),
    [
        (b"Content-Length: 5000000000\r\n\r\n", 413),
        (b"Content-Length: 99999999999999999999999999\r\n\r\n", 400),
        (b"Content-Length: -1\r\n\r\n", 400),
        (b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"Content-Encoding: gzip\r\nContent-Length: 10\r\n\r\n", 415),
    ],
)
def test_a_body_that_cannot_be_taken_is_refused_before_it_comes(server, announced, status):
    """By what its head says."""
    with connect(server) as connection:
        connection.sendall(_HEAD + announced)
        assert status_of(connection) == status


def test_a_chunked_body_ends_at_the_limit(server):
    """Whoever announces no length is stopped at the limit, and costs no memory."""
    before = memory_of(server)
    with connect(server) as connection:
        connection.sendall(_HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        try:
            for _ in range(400):
                connection.sendall(chunk)
                if select.select([connection], [], [], 0)[0]:
                    break
        except OSError:
            pass
        assert status_of(connection) in (413, None)
    assert memory_of(server) - before < 10 * _MB


def test_other_requests_have_a_lower_limit(server):
    """A control is no document."""
    answer = server.request("PATCH", "/v1/batches/b/resources", {"parallelism": 1, "x": "y" * 200_000})
    assert answer.status == 413


def test_who_dribbles_is_let_go(server):
    """A byte now and then prolongs no wait, whatever was begun: nothing, a byte, half a head, half a body."""
    half_a_head = b"GET / HTTP/1.1\r\nHost: x\r\nX-Y: "
    half_a_body = _HEAD + b"Content-Length: 100\r\n\r\n{"
    dribblers = [connect(server) for _ in range(4)]
    for dribbler, begun in zip(dribblers, (b"", b"G", half_a_head, half_a_body), strict=True):
        dribbler.sendall(begun)
    since, waiting = time.monotonic(), list(dribblers)
    while waiting:
        assert in_time(time.monotonic() - since, 3 * (SECONDS + 1))
        answered = select.select(waiting, [], [], 0.1)[0]
        waiting = [one for one in waiting if one not in answered and takes(one, b"x")]
    assert {status_of(dribbler) for dribbler in dribblers} <= {408, None}
    for dribbler in dribblers:
        dribbler.close()


def takes(connection, part):
    """Whether something can still be sent."""
    try:
        connection.sendall(part)
    except OSError:
        return False
    return True


def test_a_slow_line_that_keeps_its_pace_is_waited_for(server):
    """It is the pace that counts, not the time: 20 kB/s may take as long as it takes."""
    document = json.dumps({"batchId": "x" * 100_000}).encode()
    with connect(server) as connection:
        connection.sendall(_HEAD + b"Content-Length: %d\r\n\r\n" % len(document))
        for start in range(0, len(document), 5_000):
            connection.sendall(document[start : start + 5_000])
            select.select([], [], [], 1.5 * SECONDS / 20)
        assert status_of(connection) == 422


@pytest.mark.service
def test_who_dribbles_a_tls_handshake_is_let_go(tmp_path, root):
    """Before it no request can be too slow; whoever is through with it is served."""
    authority = Authority(tmp_path)
    certificate, key = authority.issue("localhost")
    (tmp_path / "everyitem.toml").write_text(f"[http]\nhead-seconds = {SECONDS}\n")
    with serving(tmp_path, root / "src", "--certificate", certificate, "--key", key) as server:
        silent, begun = connect(server), time.monotonic()
        trusting = ssl.create_default_context(cafile=authority.certificate)
        with trusting.wrap_socket(connect(server), server_hostname="localhost") as served:
            served.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert status_of(served) == 200
        assert status_of(silent) is None
        # on a busy machine; asyncio's own patience is a minute
        assert in_time(time.monotonic() - begun, 20)
        silent.close()


@pytest.mark.long
def test_five_hundred_dribblers_are_gone_while_others_are_served(tmp_path, root):
    """With the limits as they come: closed within 30 s, a normal client's p95 within twice the idle one."""
    with serving(tmp_path, root / "src") as server:

        def p95(count):
            times = []
            for _ in range(count):
                begun = time.perf_counter()
                assert server.get("/v1/batches").status == 200
                times.append(time.perf_counter() - begun)
            return statistics.quantiles(times, n=20)[-1]

        p95(50)
        idle = p95(300)
        dribblers = [connect(server) for _ in range(500)]
        begun, closed_at, busy = time.monotonic(), {}, []
        try:
            while len(closed_at) < len(dribblers) and time.monotonic() - begun < 3 * 30:
                for number, one in enumerate(dribblers):
                    if number in closed_at:
                        continue
                    try:
                        one.send(b"G" if number % 2 else b"GET / HTTP/1.1\r\nX: "[number % 18 :][:1])
                        if select.select([one], [], [], 0)[0] and not one.recv(4096):
                            raise ConnectionResetError
                    except OSError:
                        closed_at[number] = time.monotonic() - begun
                busy.append(p95(100))
        finally:
            for one in dribblers:
                one.close()
    print(
        f"p95 idle {idle * 1000:.1f} ms; busy rounds: median {statistics.median(busy) * 1000:.1f} ms, "
        f"worst {max(busy) * 1000:.1f} ms; last closed after {max(closed_at.values()):.1f} s"
    )
    assert len(closed_at) == len(dribblers)
    assert max(closed_at.values()) < 30
    assert statistics.median(busy) < 3 * 2 * idle
