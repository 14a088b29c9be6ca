"""Channels against real servers on loopback: what arrives, and what counts as not having arrived."""

import http.server
import json
import logging
import socketserver
import threading

import pytest

from everyitem.adapters.alerts import build_channels
from everyitem.adapters.alerts.webhook import Webhook
from everyitem.model.alerts import Alert, AlertKind, Level, Page, Reason
from everyitem.model.errors import UsageError
from everyitem.settings.alerting import AlertSettings, Channel, read_alert_settings

ALERT = Alert(
    alert_id="3f9a01cc",
    batch_id="eod\r\nBcc: everybody@example.org",
    execution=1,
    kind=AlertKind.CRITICAL_ERROR,
    level=Level.CRITICAL,
    text="the run ended with SYSTEM_ERROR: Prüfung",
    raised_at=1.0,
    seen_at=1.0,
)
PAGE = Page(alert=ALERT, channel="ops", reason=Reason.RAISED)


class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.server.status)
        self.send_header("Location", "http://127.0.0.1:9/elsewhere")
        self.end_headers()

    def log_message(self, *args):
        pass


class MailServer(socketserver.StreamRequestHandler):
    """Just enough SMTP to take one mail."""

    def handle(self):
        self.wfile.write(b"220 here\r\n")
        in_data, lines = False, []
        for line in self.rfile:
            if in_data:
                if line == b".\r\n":
                    in_data = False
                    self.server.got.append(b"".join(lines).decode())
                    self.wfile.write(b"250 taken\r\n")
                else:
                    lines.append(line)
            elif line.upper().startswith(b"DATA"):
                in_data = True
                self.wfile.write(b"354 go on\r\n")
            elif line.upper().startswith(b"QUIT"):
                self.wfile.write(b"221 bye\r\n")
                return
            else:
                self.wfile.write(b"250 fine\r\n")


@pytest.fixture
def serve():
    servers = []

    def start(kind, handler, **more):
        server = kind(("127.0.0.1", 0), handler)
        server.got = []
        server.__dict__.update(more)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        servers.append((server, thread))
        return server

    yield start
    for server, thread in servers:
        server.shutdown()
        server.server_close()
        thread.join()


def hook(serve, status):
    server = serve(http.server.HTTPServer, Hook, status=status)
    return server, Webhook("ops", f"http://127.0.0.1:{server.server_port}/x", timeout=30)


def test_a_webhook_gets_the_alert_as_json(serve):
    """For programs the parts, for people title and body."""
    server, channel = hook(serve, 204)
    channel.send(PAGE)
    (got,) = server.got
    assert (got["alertId"], got["kind"], got["level"]) == ("3f9a01cc", "critical-error", "critical")
    assert "everyitem alerts acknowledge 3f9a01cc" in got["body"]


@pytest.mark.parametrize("status", [302, 401, 500])
def test_any_other_answer_reaches_nobody(serve, status):
    """A redirect, too: an alert goes where the operator said."""
    _, channel = hook(serve, status)
    with pytest.raises(ConnectionError, match=str(status)):
        channel.send(PAGE)


def test_a_mail_arrives_and_a_batch_id_forges_no_header(serve):
    """Line breaks in the id do not end the subject."""
    server = serve(socketserver.TCPServer, MailServer)
    port = server.server_address[1]
    wanted = Channel(kind="smtp", host="127.0.0.1", port=port, security="none", to=["a@b.c"])
    channel = build_channels(AlertSettings(escalation=["mail"], channels={"mail": wanted}))["mail"]
    channel.send(PAGE)
    (got,) = server.got
    headers = got.partition("\r\n\r\n")[0].split("\r\n")
    assert any(line.startswith("To: a@b.c") for line in headers)
    assert not any(line.startswith("Bcc") for line in headers)


def test_apprise_carries_what_it_understands(serve):
    """Its own JSON notification, to the same kind of server; any other URL is refused unseen."""
    server = serve(http.server.HTTPServer, Hook, status=200)
    url = f"json://127.0.0.1:{server.server_port}/x"
    settings = AlertSettings(escalation=["chat"], channels={"chat": Channel(kind="apprise", url=url)})
    build_channels(settings)["chat"].send(PAGE)
    assert "critical-error" in json.dumps(server.got[0])
    wrong = AlertSettings(escalation=["chat"], channels={"chat": Channel(kind="apprise", url="canary://x")})
    with pytest.raises(UsageError, match=r"channels\.chat") as refused:
        build_channels(wrong)
    assert "canary" not in str(refused.value)


def test_the_log_gets_critical_alerts_as_errors(caplog):
    """Whoever configures nothing else finds them there."""
    with caplog.at_level(logging.INFO, logger="everyitem"):
        build_channels(AlertSettings())["log"].send(PAGE)
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.fields["alert"]["alertId"] == "3f9a01cc"


def test_a_secret_may_stand_in_a_file(tmp_path):
    """Readable by whom its mode allows, and not in the configuration."""
    (tmp_path / "url").write_text("http://127.0.0.1:9/canary\n", encoding="utf-8")
    wanted = Channel(kind="webhook", url_file=str(tmp_path / "url"))
    build_channels(AlertSettings(escalation=["ops"], channels={"ops": wanted}))
    missing = Channel(kind="webhook", url_file=str(tmp_path / "none"))
    with pytest.raises(UsageError, match="cannot be read"):
        build_channels(AlertSettings(escalation=["ops"], channels={"ops": missing}))


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"escalation": ["nosuch"]}, "no channel 'nosuch'"),
        ({"escalation": []}, "at least one"),
        ({"repeatSeconds": 0}, "repeatSeconds"),
        ({"repaetSeconds": 1}, "repaetSeconds"),
        ({"channels": {"a": {"kind": "pigeon"}}}, "channels"),
        ({"channels": {"a": {"kind": "webhook"}}}, "channels.a"),
        ({"channels": {"a": {"kind": "smtp"}}}, "channels.a"),
        ({"limits": {"windowUsed": 2}}, "windowUsed"),
    ],
)
def test_what_is_wrong_with_the_table_is_said(table, said):
    """Before anything runs, with the name of the setting."""
    with pytest.raises(ValueError, match=said):
        read_alert_settings(table)


def test_names_may_be_written_as_in_python():
    """Channel names stay as they are."""
    settings = read_alert_settings(
        {
            "repeat_seconds": 5.0,
            "escalation": ["on_call"],
            "channels": {"on_call": {"kind": "webhook", "url_file": "f"}},
            "limits": {"no_progress_seconds": 9},
        }
    )
    assert (settings.repeat_seconds, settings.limits.no_progress_seconds) == (5.0, 9.0)
    assert settings.channels["on_call"].url_file == "f"
