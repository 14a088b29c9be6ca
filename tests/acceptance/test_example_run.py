"""The example as a new user meets it: run, kill, run again, look at the failures."""

import json
import os
import runpy
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

#: Fixings in the shortened document.
SIZE = 3_000


@pytest.fixture
def example(root, tmp_path):
    """A copy of the example's folder with a shortened `latest.json`, and a `.venv` with the command."""
    folder = tmp_path / "examples" / "ecb-rates"
    shutil.copytree(root / "examples/ecb-rates", folder, ignore=shutil.ignore_patterns("*.json", "*.sqlite*"))
    make_batch = runpy.run_path(str(folder / "make_batch.py"))
    document = make_batch["document"]("latest", make_batch["read_fixings"]())
    document["batchItems"] = document["batchItems"][-SIZE:]
    (folder / "latest.json").write_text(json.dumps(document, separators=(",", ":")), encoding="utf-8")
    command = tmp_path / ".venv" / "bin" / "everyitem"
    command.parent.mkdir(parents=True)
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m everyitem "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    return folder


@pytest.fixture
def expected(example):
    """How many of the shortened document's fixings have a rate, and how many have none."""
    items = json.loads((example / "latest.json").read_text(encoding="utf-8"))["batchItems"]
    without = sum(item["rate"] == "N/A" for item in items)
    return SIZE - without, without


def slow_down(path, *, milliseconds):
    """Make the document's look-up take longer: one worker is busy with the document for a minute."""
    document = json.loads(path.read_text(encoding="utf-8"))
    document["processingConfiguration"]["parameters"]["lookupMs"] = milliseconds
    path.write_text(json.dumps(document, separators=(",", ":")), encoding="utf-8")


def run(example, *arguments, **environment):
    return subprocess.run(
        arguments,
        check=False,
        cwd=example,
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, **environment},
    )


def results_of(completed):
    assert completed.returncode == 0, completed.stderr
    return json.loads(completed.stdout)["result"]["executionResults"]


def test_the_demo_runs_and_says_what_to_look_at(example, expected):
    """Every fixing has an outcome; those without a rate are failures that can be listed and explained."""
    demo = run(example, "./demo", "latest")
    results = results_of(demo)
    assert results["batchCompleted"]
    assert results["itemsProcessed"] == SIZE
    assert (results["itemsSuccessful"], results["itemsFailed"]) == expected
    assert "everyitem explain ecb-rates-latest-2026-10-30 HRK-2026-10-30" in demo.stderr

    everyitem = str(example.parents[1] / ".venv/bin/everyitem")
    failures = run(example, everyitem, "failures", "ecb-rates-latest-2026-10-30", "--json")
    assert failures.stdout.count("no rate was published on this day (N/A)") == expected[1]
    explained = run(example, everyitem, "explain", "ecb-rates-latest-2026-10-30", "HRK-2026-10-30")
    assert "no rate was published on this day (N/A)" in explained.stdout
    assert "processors.py" in explained.stdout


def test_the_demo_again_prints_the_recorded_response(example):
    """Finished is finished: the second time nothing runs, and the very same response comes."""
    first = run(example, "./demo", "latest")
    again = run(example, "./demo", "latest")
    assert json.loads(again.stdout) == json.loads(first.stdout)


def test_rerun_starts_the_demo_over(example):
    """RERUN=1 is another execution of the same batch."""
    first = run(example, "./demo", "latest")
    again = run(example, "./demo", "latest", RERUN="1")
    assert results_of(again) == results_of(first)
    everyitem = str(example.parents[1] / ".venv/bin/everyitem")
    status = run(example, everyitem, "status", "ecb-rates-latest-2026-10-30", "--json")
    assert json.loads(status.stdout)["execution"] == 2


def test_the_demo_killed_on_its_way_goes_on_where_it_was(example, expected):
    """kill -9, the same command again: the numbers add up and what was recorded did not run again."""
    everyitem = str(example.parents[1] / ".venv/bin/everyitem")
    slow_down(example / "latest.json", milliseconds=20)
    with subprocess.Popen(
        [everyitem, "run", "latest.json", "--checkpoint-interval", "100", "--parallelism", "1"],
        cwd=example,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as killed:
        recorded = 0
        while killed.poll() is None and recorded < SIZE // 20:
            status = run(example, everyitem, "status", "ecb-rates-latest-2026-10-30", "--json")
            recorded = json.loads(status.stdout)["succeeded"] if status.returncode == 0 else 0
        killed.send_signal(signal.SIGKILL)
    assert killed.returncode == -signal.SIGKILL
    assert 0 < recorded < SIZE

    again = run(example, "./demo", "latest")
    results = results_of(again)
    assert (results["itemsSuccessful"], results["itemsFailed"]) == expected
    assert json.loads(again.stdout)["result"]["executionMetadata"]["runs"] == 2
    with closing(sqlite3.connect(example / "rates.sqlite")) as store:
        assert store.execute("PRAGMA integrity_check").fetchone() == ("ok",)
