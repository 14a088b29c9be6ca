"""The guard: a small process that outlives its coordinator just long enough to kill its workers.

Run as a script by `guard.py` with nothing but the standard library, so it is up in a few milliseconds and
needs a few megabytes. It reads lines `+GROUP MARK` and `-GROUP` (process group ids) from its standard input.
At the end of input, or when its parent has changed, the coordinator is gone, for whatever reason: every
group still on the list is killed and the guard ends.

What a worker's items have started may have left its group (`setsid`, daemons). It still carries the mark
in its environment, by which it is found in /proc and killed once its group is off the list or the guard ends.
For a moment within `exec` a process has no environment; the guard looks again until it has one.
"""

import os
import select
import signal
import time

#: Seconds between looks at the parent, should somebody else keep the pipe open.
_LOOK = 1.0
#: Looks through /proc at most, as long as there is something to kill: it may be forking.
_ROUNDS = 10
#: Looks at most, and seconds between them, as long as a process is in the middle of `exec`.
_WAITING_ROUNDS = 100
_PAUSE = 0.02
#: Looks in a row that must find nothing: between two of them the kernel has ended what one look cannot tell.
_CLEAN_LOOKS = 2
#: Linux' mark of a kernel thread among the flags of a process (PF_KTHREAD).
_KERNEL_THREAD = 0x00200000


def main() -> None:
    """Keep the list of process groups until the coordinator is gone, then kill what is left on it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    parent = os.getppid()
    marks: dict[int, bytes] = {}
    rest = b""
    while os.getppid() == parent:
        if not select.select([0], [], [], _LOOK)[0]:
            continue
        data = os.read(0, 65536)
        if not data:
            break
        *lines, rest = (rest + data).split(b"\n")
        released = set()
        for line in lines:
            group, _, mark = line[1:].partition(b" ")
            if line[:1] == b"+":
                marks[int(group)] = mark
            else:
                released.add(marks.pop(int(group), b""))
        kill_strays(released)
    for group_id in marks:
        try:
            os.killpg(group_id, signal.SIGKILL)
        except OSError:
            continue  # gone already
    kill_strays(set(marks.values()))


def kill_strays(marks: set[bytes]) -> None:
    """Kill every process that carries one of the marks (`NAME=value`) in its environment."""
    marks.discard(b"")
    killing = waiting = clean = 0
    while marks and killing < _ROUNDS and waiting < _WAITING_ROUNDS and clean < _CLEAN_LOOKS:
        try:
            # no pathlib: the guard is up in milliseconds
            names = os.listdir("/proc")  # noqa: PTH208
        except OSError:
            return  # no /proc: only groups can be killed here
        looks = [_kill_if_marked(int(name), marks) for name in names if name.isdigit()]
        if "killed" in looks:
            killing += 1
            continue
        waiting += 1
        clean = 0 if "starting" in looks else clean + 1
        time.sleep(_PAUSE)


def _kill_if_marked(pid: int, marks: set[bytes]) -> str:
    """Answer `killed`, `starting` where there is no environment to be read yet, or nothing."""
    try:
        # a descriptor, so that the number cannot come to mean another process between look and kill
        process = os.pidfd_open(pid)
    except (OSError, AttributeError):
        return ""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123
            environment = file.read()
        if not environment:
            return "starting" if _is_starting(pid) else ""
        if marks.isdisjoint(environment.split(b"\0")):
            return ""
        signal.pidfd_send_signal(process, signal.SIGKILL)
    except OSError:
        return ""  # gone, or somebody else's
    finally:
        os.close(process)
    return "killed"


def _is_starting(pid: int) -> bool:
    """Tell a process within `exec` from zombies, kernel threads, and those that never have an environment.

    Where the environment begins and ends in its new memory (see proc_pid_stat(5)) is not set yet, or has been
    set since it was read.
    """
    with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123
        # the second field, a name in parentheses, may hold anything; those from the third on are numbers
        fields = file.read().rpartition(b")")[2].split()
    state, flags, begin, end = fields[0], int(fields[6]), fields[47], fields[48]
    return state not in b"ZXx" and not flags & _KERNEL_THREAD and (end == b"0" or begin != end)


if __name__ == "__main__":
    main()
