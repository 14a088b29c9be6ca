"""`everyitem cyoda install`, `everyitem doctor --cyoda`, and tokens."""

import json
import shutil
import subprocess
import sys

import pytest
from tests.faults.rigs.cyoda_platform import PATIENCE, Platform
from tests.faults.rigs.cyoda_rest import CyodaRest, Model
from tests.faults.rigs.cyoda_web import CLIENT, SECRET, CyodaWeb

from everyitem.faces.cyoda.installing import model_sample, workflow
from everyitem.faces.cyoda.options import CyodaOptions
from everyitem.faces.cyoda.processing import PROCESSORS

MODEL = "/api/model/ProcessingBatch/1"


@pytest.fixture
def web():
    """The platform's HTTP side."""
    made = CyodaWeb()
    yield made
    made.stop()


@pytest.fixture
def access(workspace, web):
    """Flags for a member with client credentials."""
    secret = workspace.folder / "secret"
    secret.write_text(SECRET + "\n")
    token_url = f"{web.url}/oauth/token"
    return ("--token-url", token_url, "--client-id", CLIENT, "--client-secret-file", secret)


def everyitem(workspace, *arguments):
    """Run a command that takes no store."""
    command = [sys.executable, "-m", "everyitem", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=PATIENCE, cwd=workspace.folder
    )


def test_install_imports_models_and_workflow_in_order(workspace, web):
    """A key is declared before the lock, after which nothing changes; every step is said."""
    done = everyitem(workspace, "cyoda", "install", "--url", web.url)
    assert done.returncode == 0, done.stderr
    assert web.calls == [
        ("POST", "/api/model/import/JSON/SAMPLE_DATA/ProcessingBatch/1"),
        ("POST", f"{MODEL}/changeLevel/STRUCTURAL"),
        ("PUT", f"{MODEL}/lock"),
        ("POST", f"{MODEL}/workflow/import"),
        ("POST", "/api/model/import/JSON/SAMPLE_DATA/BatchItemResult/1"),
        ("PUT", "/api/model/BatchItemResult/1/unique-keys"),
        ("POST", "/api/model/BatchItemResult/1/changeLevel/STRUCTURAL"),
        ("PUT", "/api/model/BatchItemResult/1/lock"),
        ("POST", "/api/model/import/JSON/SAMPLE_DATA/BatchEvent/1"),
        ("PUT", "/api/model/BatchEvent/1/unique-keys"),
        ("POST", "/api/model/BatchEvent/1/changeLevel/STRUCTURAL"),
        ("PUT", "/api/model/BatchEvent/1/lock"),
    ]
    assert web.bodies[f"{MODEL}/workflow/import"]["importMode"] == "REPLACE"
    (key,) = web.bodies["/api/model/BatchItemResult/1/unique-keys"]["uniqueKeys"]
    assert key["fields"] == ["$.resultKey"]
    assert done.stderr.count("imported") == 4


def test_a_platform_that_keeps_no_unique_keys_is_prepared_all_the_same(workspace, web):
    """And what that means is said."""
    web.keeps_keys = False
    done = everyitem(workspace, "cyoda", "install", "--url", web.url)
    assert done.returncode == 0, done.stderr
    assert "without a unique key on $.eventId" in done.stderr
    assert "BatchEvent/1" in web.locked


def test_install_may_be_repeated(workspace, web):
    """Locked models are left as they are, the workflow is replaced."""
    everyitem(workspace, "cyoda", "install", "--url", web.url)
    web.calls.clear()
    done = everyitem(workspace, "cyoda", "install", "--url", web.url)
    assert done.returncode == 0, done.stderr
    assert [path for _, path in web.calls if "SAMPLE_DATA" not in path] == [f"{MODEL}/workflow/import"]
    assert "left as it is" in done.stderr


def test_install_takes_a_token_where_one_is_needed(workspace, web, access):
    """And says what the platform said where there is none."""
    web.guarded = True
    refused = everyitem(workspace, "cyoda", "install", "--url", web.url)
    assert refused.returncode == 1
    assert "401" in refused.stderr
    assert "no valid token" in refused.stderr
    assert everyitem(workspace, "cyoda", "install", "--url", web.url, *access).returncode == 0


def test_install_takes_a_url_of_http(workspace):
    """Anything else is wrong usage, not a failure of the platform."""
    done = everyitem(workspace, "cyoda", "install", "--url", "platform/api")
    assert done.returncode == 2
    assert "http://HOST:PORT/api" in done.stderr


def test_install_names_a_server_that_is_not_there(workspace):
    """With the URL that was tried."""
    done = everyitem(workspace, "cyoda", "install", "--url", "http://127.0.0.1:9/api")
    assert done.returncode == 1
    assert "127.0.0.1:9" in done.stderr


def test_the_workflow_asks_for_what_the_member_does():
    """Names and tag agree, and every outcome has its way."""
    (flow,) = json.loads(workflow())["workflows"]
    transitions = [one for state in flow["states"].values() for one in state["transitions"]]
    asked = [processor for one in transitions for processor in one.get("processors", [])]
    assert {one["name"] for one in asked} == set(PROCESSORS)
    tag = CyodaOptions.model_fields["tag"].default
    assert {one["config"]["calculationNodesTags"] for one in asked} == {tag}
    assert {one["next"] for one in transitions} <= set(flow["states"])


def paths_of(value, path="$"):
    """Every member's path in a JSON value; those of array elements alike."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield f"{path}.{name}"
            yield from paths_of(member, f"{path}.{name}")
    elif isinstance(value, list):
        for member in value:
            yield from paths_of(member, f"{path}[]")


def test_the_model_knows_every_field_the_member_writes(workspace):
    """A locked model refuses later updates of an entity with fields it has never seen."""
    platform = Platform().start()
    try:
        workspace.start(
            "member", "--endpoint", platform.address, "--plaintext", "--processors", workspace.processors
        )
        platform.joined.get(timeout=PATIENCE)
        path = workspace.document([{"n": 1}, {"fail": "no"}])
        good = json.loads(path.read_text())
        known = set(paths_of(json.loads(model_sample())))
        for body in (good, good | {"batchItems": 7}):
            entity_id = platform.create(body)
            if body is good:
                platform.initialize(entity_id)
            platform.execute(entity_id)
            after = platform.body(entity_id)
            after.pop("batchItems")
            after["processingConfiguration"].pop("parameters")
            assert set(paths_of(after)) - known == set()
    finally:
        platform.stop()


@pytest.fixture
def guarded(web):
    """A platform that accepts the valid token only."""
    made = Platform(token=web.valid).start()
    yield made
    made.stop()


def test_a_member_joins_with_a_token_and_comes_back_with_a_new_one(workspace, web, guarded, access):
    """A token the platform no longer accepts is dropped, and the next one fetched."""
    workspace.start(
        "member", "--endpoint", guarded.address, "--plaintext", *access, "--processors", workspace.processors
    )
    first = guarded.joined.get(timeout=PATIENCE)
    web.tokens.append("revoked")
    first.cut()
    guarded.joined.get(timeout=PATIENCE)
    assert set(guarded.rejected) == {"Bearer token-0"}
    assert web.tokens == ["token-0", "revoked", "token-2"]


@pytest.mark.service
def test_tls_trusts_the_authorities_that_are_named_and_no_other(workspace):
    """A server of one's own authority is joined with --ca, and refused without."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    key, certificate = workspace.folder / "key.pem", workspace.folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True, timeout=PATIENCE,
    )  # fmt: skip
    platform = Platform(certificate=(key.read_bytes(), certificate.read_bytes())).start()
    address = f"localhost:{platform.port}"
    try:
        arguments = ("member", "--endpoint", address, "--tls", "--processors", workspace.processors)
        stranger = workspace.start(*arguments)
        assert "UNAVAILABLE" in stranger.read_error_until("no stream")
        assert platform.history == []
        workspace.start(*arguments, "--ca", certificate)
        platform.joined.get(timeout=PATIENCE)
        path = workspace.document([{"n": 1}])
        assert platform.execute(platform.create(path.read_text())) == "completed"
    finally:
        platform.stop()


def checks_of(workspace, settings):
    """What doctor finds of the platform."""
    config = workspace.folder / "everyitem.toml"
    results = settings.get("results", {})
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items() if name != "results"]
    lines += ["[cyoda.results]", *(f"{name} = {json.dumps(value)}" for name, value in results.items())]
    config.write_text("[cyoda]\n" + "\n".join(lines) + "\n")
    done = workspace.do("doctor", "--cyoda", "--json", "--config", config)
    checks = json.loads(done.stdout)["checks"]
    return done.returncode, {check["name"]: check for check in checks if check["name"].startswith("cyoda")}


def test_doctor_tries_token_endpoint_and_tag(workspace, web, guarded):
    """Everything a member needs, and what to do about what is missing."""
    (workspace.folder / "secret").write_text(SECRET)
    good = {
        "endpoints": [guarded.address],
        "plaintext": True,
        "token-url": f"{web.url}/oauth/token",
        "client-id": CLIENT,
        "client-secret-file": "secret",
    }
    code, checks = checks_of(workspace, good)
    assert code == 0
    assert "mock-tenant" in checks[f"cyoda {guarded.address}"]["found"]
    code, checks = checks_of(workspace, {"endpoints": [guarded.address], "plaintext": True})
    assert code == 1
    assert "token-url" in checks[f"cyoda {guarded.address}"]["advice"]
    code, checks = checks_of(workspace, good | {"client-id": "other"})
    assert (code, checks["cyoda token"]["verdict"]) == (1, "fault")
    code, checks = checks_of(workspace, {"endpoints": ["127.0.0.1:9"], "plaintext": True})
    assert "UNAVAILABLE" in checks["cyoda 127.0.0.1:9"]["found"]


def test_doctor_says_whether_results_can_go_where_they_are_to(workspace):
    """Before a batch is refused for it."""
    rest = CyodaRest()
    platform = Platform().start()
    try:
        settings = {"endpoints": [platform.address], "plaintext": True, "url": rest.url}
        settings["results"] = {"to": "entities"}
        code, checks = checks_of(workspace, settings)
        assert (code, checks["cyoda results to entities"]["verdict"]) == (1, "fault")
        assert "cyoda install" in checks["cyoda results to entities"]["found"]
        rest.models["BatchItemResult/1"] = Model()
        code, checks = checks_of(workspace, settings)
        assert (code, checks["cyoda results to entities"]["verdict"]) == (0, "warning")
    finally:
        platform.stop()
        rest.stop()
