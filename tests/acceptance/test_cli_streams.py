"""What goes where: standard output belongs to the response, whatever the user's code and the caller do."""

import json
import os
import signal
import subprocess

import pytest

NOISY = """
import os, sys, threading
from everyitem import item_processor

print("loaded")
os.write(1, b"raw at import\\n")


@item_processor("noisy")
def noisy(item, context):
    print("item", item, flush=True)
    print("item", item, file=sys.stderr)
    sys.stdout.buffer.write(b"bytes\\n")
    os.write(1, b"raw\\n")
    return item


@item_processor("anoisy")
async def anoisy(item, context):
    return noisy(item, context)


@item_processor("leaky")
def leaky(item, context):
    threading.Thread(target=threading.Event().wait).start()
    return item
"""


@pytest.fixture
def noisy(workspace):
    """A workspace whose item processors print wherever they can."""
    workspace.processors.write_text(NOISY)
    return workspace


@pytest.mark.parametrize("processor", ["noisy", "anoisy"])
def test_what_the_users_code_prints_goes_to_standard_error(noisy, processor):
    """At import and in items, by `print` or past Python; the response stays the only thing on stdout."""
    done = noisy.do("run", noisy.document([1, 2], processor=processor))
    assert json.loads(done.stdout)["result"]["executionResults"]["itemsSuccessful"] == 2
    for said in ("loaded", "raw at import", "item 1", "raw\n", "bytes"):
        assert said in done.stderr


def test_a_plan_is_not_mixed_with_what_is_printed(noisy):
    """`plan` loads the user's code as well."""
    done = noisy.do("plan", noisy.document([1]), "--processors", noisy.processors)
    assert json.loads(done.stdout)["batchId"] == "b"


def test_an_item_does_not_fail_because_nobody_reads_what_it_prints(noisy):
    """Standard error is closed: the work goes on."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        noisy.command("run", noisy.document([1, 2, 3], processor="noisy")),
        stdout=subprocess.PIPE,
        stderr=writing,
        timeout=60,
        check=False,
        env=noisy._environment,
    )
    os.close(writing)
    assert json.loads(done.stdout)["result"]["executionResults"]["itemsSuccessful"] == 3
    assert done.returncode == 0


def test_a_thread_an_item_leaves_behind_does_not_keep_the_command_alive(noisy):
    """All is delivered, so it ends."""
    done = noisy.do("run", noisy.document([1], processor="leaky"))
    assert (done.returncode, json.loads(done.stdout)["status"]) == (0, "SUCCESS")


@pytest.mark.parametrize("arguments", [("run", "b.json"), ("status", "b"), ("--help",)])
@pytest.mark.parametrize("where", [">&-", ">/dev/full"])
def test_an_unwritable_standard_output_is_one_line_and_1(workspace, arguments, where):
    """No traceback, and nothing that looks like success."""
    workspace.do("run", workspace.document([1]))
    command = workspace.command(*arguments) if arguments[0] != "--help" else workspace.command("--help")[:4]
    done = subprocess.run(
        ["sh", "-c", f'"$@" {where}', "sh", *command, *(["--no-progress"] if arguments[0] == "run" else [])],
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
        cwd=workspace.folder,
        env=workspace._environment,
    )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1, done.stderr


def test_a_full_disk_under_the_files_does_not_lose_the_response(workspace):
    """It is printed first; what could not be written is said, and the exit code is 1."""
    done = workspace.do("run", workspace.document([1]), "--out", "/dev/full", "--results", "/dev/full")
    assert done.returncode == 1
    assert json.loads(done.stdout)["status"] == "SUCCESS"
    assert done.stderr.count("cannot write /dev/full") == 2


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_the_users_code_is_loaded_ends_the_command(workspace, number, code):
    """One line and the signal's exit code: nothing has begun."""
    workspace.processors.write_text(
        "import sys, time\nprint('loading', file=sys.stderr, flush=True)\ntime.sleep(60)\n"
    )
    running = workspace.start("run", workspace.document([1]))
    running.read_error_until("loading")
    running.send(number)
    done = running.end()
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.endswith(f"everyitem: stopped by {number.name} before anything ran\n")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_the_command_itself_is_loaded_ends_it(workspace, number, code):
    """Held at its first heavy import it already answers, in one line."""
    (workspace.folder / "typer.py").write_text(
        "import sys, time\nprint('importing', file=sys.stderr, flush=True)\ntime.sleep(60)\n"
    )
    workspace._environment["PYTHONPATH"] = f"{workspace.folder}:{workspace._environment['PYTHONPATH']}"
    running = workspace.start("list")
    running.read_error_until("importing")
    running.send(number)
    done = running.end()
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr == f"everyitem: stopped by {number.name} before anything began\n"


def test_a_standard_input_that_is_closed_is_empty(workspace):
    """As cron jobs and services may have it: the document is refused, and there is no traceback."""
    done = subprocess.run(
        ["sh", "-c", '"$@" <&-', "sh", *workspace.command("run", "-")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=workspace._environment,
    )
    assert done.returncode == 1
    assert json.loads(done.stdout)["details"]["dataErrors"] == [
        "$: is empty; a batch document is one JSON object"
    ]
    assert "Traceback" not in done.stderr
