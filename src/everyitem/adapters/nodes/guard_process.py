"""The guard: a small process that outlives its coordinator just long enough to kill its workers.

Run as a script by `guard.py` with nothing but the standard library, so it is up in a few milliseconds and
needs a few megabytes. It reads lines `+GROUP MARK` and `-GROUP` (process group ids) from its standard input.
At the end of input, or when its parent has changed, the coordinator is gone, for whatever reason: every
group still on the list is killed and the guard ends.

What a worker's items have started may have left its group (`setsid`, daemons). It still carries the mark
in its environment, by which it is found in /proc and killed once its group is off the list or the guard ends.
"""

import os
import select
import signal

#: Seconds between looks at the parent, should somebody else keep the pipe open.
_LOOK = 1.0
#: Looks through /proc at most, as long as there is something to kill: it may be forking.
_ROUNDS = 10


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
    for _ in range(_ROUNDS):
        try:
            # no pathlib: the guard is up in milliseconds
            names = os.listdir("/proc") if marks else []  # noqa: PTH208
        except OSError:
            return  # no /proc: only groups can be killed here
        if not sum(_kill_if_marked(int(name), marks) for name in names if name.isdigit()):
            return


def _kill_if_marked(pid: int, marks: set[bytes]) -> bool:
    try:
        # a descriptor, so that the number cannot come to mean another process between look and kill
        process = os.pidfd_open(pid)
    except (OSError, AttributeError):
        return False
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123
            if marks.isdisjoint(file.read().split(b"\0")):
                return False
        signal.pidfd_send_signal(process, signal.SIGKILL)
    except OSError:
        return False  # gone, or somebody else's
    finally:
        os.close(process)
    return True


if __name__ == "__main__":
    main()
