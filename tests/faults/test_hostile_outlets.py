"""F27 and F28 at the doors: hostile documents through API and command line, NaN through everything."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.faults.test_hostile_documents import HOSTILE, document_of

import everyitem
from everyitem.faces.api.refusal import refusal
from everyitem.faces.documents import read_document
from everyitem.model.errors import DocumentRefused
from everyitem.settings import Settings
from everyitem.work.results import UnusableResult, encode_result

SETTINGS = Settings()
#: One of each sort for every change; the long form takes them all.
SAMPLE = ["empty", "NUL inside", "UTF-16 with mark", "numeric id", "100,001 items"]


def strictly(text: str | bytes) -> Any:
    """Parse as strictly as anyone may."""

    def leaked(name: str) -> None:
        raise AssertionError(f"{name} leaked")

    return json.loads(text, parse_constant=leaked)


def check_refusal(name: str, printed: str | bytes) -> None:
    """An ERROR response that is strict JSON and names path and code."""
    _, path, _, code = HOSTILE[name]
    response = strictly(printed)
    assert response["status"] == "ERROR"
    assert code in str(response)
    assert any(text.startswith(path) for text in response["details"]["dataErrors"])


@pytest.mark.parametrize("name", HOSTILE)
def test_the_api_answers_a_hostile_document_with_an_error(name: str, tmp_path: Path) -> None:
    """Nothing is raised, nothing runs, nothing is stored."""
    store = tmp_path / "s.db"
    response = everyitem.run(document_of(name), store=store)
    check_refusal(name, response.to_json())
    assert not store.exists()


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in SAMPLE else pytest.mark.long) for name in HOSTILE]
)
def test_the_command_answers_a_hostile_document_with_an_error(name: str, tmp_path: Path) -> None:
    """Exit code 1, one JSON document on standard output, no traceback on standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "everyitem", "run", "-", "--store", f"sqlite:///{tmp_path / 's.db'}"],
        input=document_of(name),
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    check_refusal(name, done.stdout)


numbers = st.floats() | st.sampled_from([float("nan"), float("inf"), -float("inf"), 1e308 * 10, 0.5])
values = st.recursive(
    numbers | st.none() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def nothing_leaks(value: Any) -> None:
    """A value as an item, as a parameter, and as a result: refused, or printed as strict JSON and equal."""
    document = {
        "batchId": "b",
        "batchItems": [{"payload": value}],
        "processingConfiguration": {"processor": "p", "parameters": {"x": value}},
        "allocatedResources": {},
        "executionPlan": {},
        "extra": value,
    }
    try:
        batch = read_document(document, settings=SETTINGS).batch
    except DocumentRefused as refused:
        strictly(refusal(refused).to_json())
    else:
        assert strictly(batch.items.text(range(1)))[0]["payload"] == value
        strictly(batch.envelope)
    try:
        assert strictly(encode_result(value)) == value
    except UnusableResult:
        pass


@given(values)
def test_nan_and_infinity_leak_nowhere(value: Any) -> None:
    """F28, also deep inside what is free-form."""
    nothing_leaks(value)


@pytest.mark.long
@pytest.mark.timeout(1800)
@settings(max_examples=100_000, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(values)
def test_nan_and_infinity_leak_nowhere_in_100_000_cases(value: Any) -> None:
    """F28 as promised."""
    nothing_leaks(value)
