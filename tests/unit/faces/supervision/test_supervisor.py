"""When a supervised process is started again, and when it is not."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from everyitem.faces.supervision import supervisor
from everyitem.faces.supervision.link import VARIABLE, Recovery, accept, link, told
from everyitem.faces.supervision.supervisor import MOST_CRASHES, GaveUp, Supervisor

CHILD = """
import os, signal, sys
from everyitem.faces.supervision.link import accept, link
with open("lives", "a") as lives:
    print("x", file=lives)
life = len(open("lives").read().split())
accept()
"""


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Restarts need not wait here; how long they do is said."""
    monkeypatch.setattr(supervisor, "FIRST_WAIT", 0.0)
    monkeypatch.chdir(tmp_path)


def supervise(script: str, **options) -> tuple[int, list[str]]:
    """The exit code of a supervised script, and what was said."""
    said: list[str] = []
    made = Supervisor([sys.executable, "-c", CHILD + script], say=said.append, **options)
    return made.run(), said


def lives() -> int:
    return len(Path("lives").read_text().split())


@pytest.mark.parametrize("code", [0, 1, 2, 3, 130])
def test_a_process_that_ends_in_good_order_is_not_started_again(code: int) -> None:
    """Whatever its exit code: an ERROR response is an answer."""
    assert supervise(f"link().ends({code}); sys.exit({code})") == (code, [])
    assert lives() == 1


@pytest.mark.parametrize(
    ("end", "name"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
        ("os._exit(0)", "exit code 0"),
        ("os._exit(1)", "exit code 1"),
        ("raise RuntimeError", "exit code 1"),
    ],
)
def test_a_crash_is_any_end_that_was_not_announced(end: str, name: str) -> None:
    """An item may have called `os._exit(0)`; that is no success."""
    code, said = supervise(f"if life == 1: {end}\nlink().ends(0)")
    assert (code, lives()) == (0, 2)
    assert name in said[0]


def test_a_crash_after_the_answer_was_given_changes_nothing() -> None:
    """The response must not be printed a second time."""
    assert supervise("link().ends(3); os.kill(os.getpid(), signal.SIGSEGV)") == (3, [])


def test_of_two_processes_that_answer_only_the_last_one_is_heard(tmp_path: Path) -> None:
    """The first was killed when its answer was out and before it could say so: there is one document."""
    with (tmp_path / "out").open("w+b") as out:
        script = "print('a long answer' if life == 1 else 'the answer', flush=True)\n"
        script += "if life == 1: os.kill(os.getpid(), signal.SIGKILL)\nlink().ends(0)"
        assert supervise(script, stdout=out)[0] == 0
    assert (tmp_path / "out").read_text() == "the answer\n"


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_process_somebody_has_stopped_is_not_started_again(number: str) -> None:
    """Also when the signal went to the child itself and nobody handled it."""
    script = f"signal.signal(signal.{number}, signal.SIG_DFL); os.kill(os.getpid(), signal.{number})"
    assert supervise(script)[0] == 128 + signal.Signals[number]
    assert lives() == 1


def test_a_stop_is_passed_on_and_ends_the_matter() -> None:
    """The child drains and says how it ended; or it crashes on the way, which is no reason to go on."""
    script = """
def stopped(*_):
    os._exit(7)
signal.signal(signal.SIGTERM, stopped)
os.kill(os.getppid(), signal.SIGTERM)
signal.pause()
"""
    assert supervise(script)[0] == 143
    assert lives() == 1


def test_a_program_that_does_not_even_start_is_not_tried_again() -> None:
    """What is wrong with it will be wrong next time."""
    made = Supervisor([sys.executable, "-c", "import nothing_of_that_name"], say=pytest.fail)
    assert made.run() == 1


def test_crashes_without_a_checkpoint_are_given_up_at_some_time() -> None:
    """As a last resort; it says how it ended and which execution it was."""
    with pytest.raises(GaveUp, match=f"crashed {MOST_CRASHES} times .* SIGKILL") as gave_up:
        supervise("link().carries_out('b ü', 2); os.kill(os.getpid(), signal.SIGKILL)")
    assert lives() == MOST_CRASHES
    assert gave_up.value.recovery == Recovery("b ü", 2)


def test_crashes_with_checkpoints_in_between_are_not_counted_together() -> None:
    """Each of them has got somewhere."""
    most = MOST_CRASHES + 3
    script = f"link().progressed()\nif life <= {most}: os.kill(os.getpid(), signal.SIGKILL)\nlink().ends(0)"
    assert supervise(script)[0] == 0
    assert lives() == most + 1


def test_waits_double_and_stay_below_five_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A restart within five seconds, however often it crashed before."""
    monkeypatch.undo()
    waits = [
        min(supervisor.LONGEST_WAIT, supervisor.FIRST_WAIT * 2**number) for number in range(MOST_CRASHES)
    ]
    assert waits[:3] == [0.1, 0.2, 0.4]
    assert max(waits) < 5


def test_a_successor_hears_what_its_predecessor_was_at() -> None:
    """And its own successor does, too."""
    script = """
with open("heard", "a") as heard:
    print(link().recovery, file=heard)
if life == 1:
    link().carries_out("b ü", 2)
if life <= 2:
    os.kill(os.getpid(), signal.SIGKILL)
link().ends(0)
"""
    supervise(script)
    recovery = str(Recovery("b ü", 2))
    assert Path("heard").read_text().splitlines() == ["None", recovery, recovery]


def test_every_life_reads_standard_input_from_its_beginning(tmp_path: Path) -> None:
    """What the first one has read is not gone."""
    script = """
with open("read", "a") as read:
    read.write(sys.stdin.read())
if life == 1: os.kill(os.getpid(), signal.SIGKILL)
link().ends(0)
"""
    (tmp_path / "spool").write_bytes(b"document\n")
    with (tmp_path / "spool").open("rb") as spool:
        supervise(script, stdin=spool)
    assert Path("read").read_text() == "document\ndocument\n"


def test_who_comes_up_after_its_supervisor_has_died_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """It still has the pipe, and somebody else for a parent: no orphan goes on."""
    ours, theirs = os.pipe()
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD + "link().ends(0)"],
        pass_fds=[theirs],
        env={**os.environ, VARIABLE: f"{theirs} {os.getpid() + 1}"},
    )
    assert child.wait(60) == -signal.SIGKILL
    os.close(ours)
    os.close(theirs)


def test_a_program_the_users_code_starts_is_not_supervised(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may inherit the environment, but has another parent and no pipe."""
    monkeypatch.setenv(VARIABLE, told(999_999, None))
    accept()
    assert not link().is_there
    assert VARIABLE not in os.environ


RESERVED = """
import os, signal, time
from everyitem.faces.supervision.link import accept, link

def tell(what):
    file = os.open("told", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(file, f"{what} {os.getpid()}\\n".encode())
    os.close(file)

def ready():
    return [int(line.split()[1]) for line in open("told") if line.startswith("ready")]

accept(lambda: tell("ready"))
tell("begins")
goes_on = link().recovery
if goes_on is None:
    link().carries_out("b ü", 2)
    link().progressed()
    while not ready():
        time.sleep(0.01)
"""


def keep_reserve(script: str) -> tuple[int, list[str], list[int]]:
    """The exit code of a script that has another one in reserve; what was said, and by which processes."""
    command = [sys.executable, "-c", RESERVED + script]
    code = Supervisor(command, say=lambda _: None, keeps_reserve=True).run()
    lines = [line.split() for line in Path("told").read_text().splitlines()]
    return code, [what for what, _ in lines], [int(pid) for _, pid in lines]


def test_who_is_in_reserve_goes_on_with_what_the_crashed_process_was_at() -> None:
    """It was ready before the crash, and hears then which execution it is."""
    code, said, by = keep_reserve("""
if goes_on is None: os.kill(os.getpid(), signal.SIGKILL)
link().ends(0 if (goes_on.batch_id, goes_on.execution) == ("b ü", 2) else 9)
""")
    assert (code, said) == (0, ["begins", "ready", "begins"])
    assert by[0] != by[1] == by[2]


def test_who_is_in_reserve_ends_with_the_command() -> None:
    """It has begun nothing, and nothing is left of it."""
    code, said, by = keep_reserve("link().ends(3)")
    assert (code, said) == (3, ["begins", "ready"])
    with pytest.raises(ProcessLookupError):
        os.kill(by[1], 0)


def test_a_reserve_that_has_ended_is_none() -> None:
    """Another process is started, as if there had never been one."""
    code, said, by = keep_reserve("""
if goes_on is None:
    os.kill(ready()[0], signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
link().ends(0)
""")
    assert (code, said) == (0, ["begins", "ready", "begins"])
    assert len(set(by)) == 3


def test_where_there_is_no_room_for_a_reserve_the_command_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A start takes longer then; that is said once, and nothing ends for it."""
    start = subprocess.Popen

    def refuse_reserves(command, **options):
        if " @" in options["env"][VARIABLE]:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        return start(command, **options)

    monkeypatch.setattr(supervisor.subprocess, "Popen", refuse_reserves)
    script = """
link().carries_out("b", 1)
link().progressed()
if life < 3:
    os.kill(os.getpid(), signal.SIGKILL)
link().ends(0)
"""
    code, said = supervise(script, keeps_reserve=True)
    assert (code, lives()) == (0, 3)
    assert said.count("no process is kept in reserve: Resource temporarily unavailable") == 1
