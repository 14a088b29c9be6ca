"""Requests made up from the description of the API find no mistake, and no answer it does not describe."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.services.http_server import serving

TOKEN = "a-token-for-requests-that-are-made-up"
#: A document, a cursor or a settlement can be of the right shape and still make no sense: 422 says so.
LEFT_OUT = "positive_data_acceptance"


@pytest.mark.parametrize(
    ("phases", "examples"),
    [
        pytest.param("coverage", 1, id="short"),
        pytest.param("examples,coverage,fuzzing,stateful", 100, marks=pytest.mark.long, id="long"),
    ],
)
def test_no_request_finds_a_mistake(tmp_path, root, phases, examples):
    """Answers are as described; wrong data is refused, and never with a 500."""
    batch = {
        "batchId": "b", "batchItems": [1], "allocatedResources": {}, "executionPlan": {},
        "processingConfiguration": {"processor": "echo"},
    }  # fmt: skip
    (tmp_path / "echo.py").write_text(
        "from everyitem import item_processor\n"
        "@item_processor('echo')\n"
        "def echo(item, context):\n"
        "    return item\n"
    )
    with serving(
        tmp_path, root / "src", "--require-token", "--processors", "echo.py", EVERYITEM_API_TOKEN=TOKEN
    ) as server:
        mine = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        sent = server.request("POST", "/v1/batches", body=json.dumps(batch).encode(), headers=mine)
        assert sent.status == 202
        command = [Path(sys.executable).with_name("schemathesis"), "run", f"{server.url}/openapi.json"]
        command += ["--url", server.url, "-H", f"Authorization: Bearer {TOKEN}", "--no-color", "--seed", "1"]
        command += ["--phases", phases, "--max-examples", str(examples), "--exclude-checks", LEFT_OUT]
        command += ["--request-timeout", "30", "--suppress-health-check", "all"]
        patience = 1500 if examples > 1 else 250
        done = subprocess.run(
            command, capture_output=True, check=False, text=True, cwd=tmp_path, timeout=patience
        )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
