"""Where a command is started: names that are no UTF-8, and an interpreter with options of its own."""

import json
import os
import sys

import pytest

#: A name as file systems and shells allow it.
ODD = os.fsdecode(b"odd-\xff")

WARNING = """
import warnings
from everyitem import item_processor

@item_processor("work")
def work(item, context):
    warnings.warn("old", DeprecationWarning)
"""


@pytest.mark.parametrize(
    "command", [("status", ODD), ("resume", ODD), ("explain", "b", ODD), ("alerts", "acknowledge", ODD)]
)
def test_an_id_that_is_no_text_is_unknown_like_any_other(workspace, command):
    """One line, and no traceback."""
    workspace.do("run", workspace.document([1]))
    done = workspace.do(*command)
    assert (done.returncode, done.stdout) == (2, "")
    assert r"'odd-\udcff'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_store_a_document_and_outputs_may_have_any_name(workspace):
    """They are opened here and nowhere else."""
    document = workspace.document([1]).rename(workspace.folder / ODD)
    arguments = ["--store", f"{ODD}.db", "--out", f"{ODD}.out", "--results", f"{ODD}.csv"]
    done = workspace.do("run", document, *arguments)
    assert (done.returncode, json.loads(done.stdout)["status"]) == (0, "SUCCESS")
    assert json.loads((workspace.folder / f"{ODD}.out").read_text()) == json.loads(done.stdout)


@pytest.mark.parametrize("option", ["--processors", "--items"])
def test_names_that_others_must_be_told_are_text(workspace, option):
    """Workers hear where item processors are, and the record where items came from."""
    suffix = {"--processors": ".py", "--items": ".jsonl"}[option]
    (workspace.folder / f"{ODD}{suffix}").write_text("1\n")
    done = workspace.do("run", workspace.document([]), option, f"{ODD}{suffix}")
    assert (done.returncode, done.stdout) == (2, "")
    assert "is not UTF-8; rename it" in done.stderr


def test_a_folder_of_any_name_is_a_place_to_work_in(workspace):
    """Worker processes are told where modules are searched, and need not be told of this one."""
    (workspace.folder / ODD).mkdir()
    (workspace.folder / ODD / "modest.py").write_text(workspace.processors.read_text())
    workspace.folder /= ODD
    done = workspace.do("run", workspace.document([1]), "--processors", "modest", "--nodes", "process")
    assert json.loads(done.stdout)["result"]["executionResults"]["itemsSuccessful"] == 1, done.stderr


def test_a_folder_that_is_gone_is_said(workspace):
    """Somebody removed it under a shell that stands in it; what needs no folder works there."""
    workspace.do("run", workspace.document([1]))
    status, run = workspace.command("status", "b"), workspace.command("run", "b.json")
    said = {}
    for name, command in {"status": status, "run": run}.items():
        script = 'mkdir gone && cd gone && rmdir ../gone && exec "$@"'
        said[name] = workspace.end(["sh", "-c", script, "sh", *command])
    assert said["status"].returncode == 0, said["status"].stderr
    assert said["run"].returncode == 2
    assert "is gone; change to one that is there" in said["run"].stderr


@pytest.mark.parametrize("kind", ["thread", "process"])
def test_workers_treat_warnings_as_the_command_was_told_to(workspace, kind):
    """`python -W error -m everyitem`: the same item processor, the same outcome on every kind of node."""
    workspace.processors.write_text(WARNING)
    document = workspace.document([1], configuration={"maxRetryAttempts": 0})
    _, *command = workspace.command("run", document, "--nodes", kind)
    done = workspace.end([sys.executable, "-W", "error", *command])
    assert done.returncode == 0, done.stderr
    assert workspace.lines("failures", "b")[0]["error"]["type"] == "DeprecationWarning"
    assert "ResourceWarning" not in done.stderr
