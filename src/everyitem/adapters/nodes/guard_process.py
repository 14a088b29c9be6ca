"""The guard: a small process that outlives its coordinator just long enough to kill its workers.

Run as a script by `guard.py` with nothing but the standard library, so it is up in a few milliseconds and
needs a few megabytes. It reads lines `+GROUP` and `-GROUP` (process group ids) from its standard input. At
the end of input, or when its parent has changed, the coordinator is gone, for whatever reason: every
group still on the list is killed and the guard ends.
"""

import os
import select
import signal

#: Seconds between looks at the parent, should somebody else keep the pipe open.
_LOOK = 1.0


def main() -> None:
    """Keep the list of process groups until the coordinator is gone, then kill what is left on it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    parent = os.getppid()
    groups: set[int] = set()
    rest = b""
    while os.getppid() == parent:
        if not select.select([0], [], [], _LOOK)[0]:
            continue
        data = os.read(0, 65536)
        if not data:
            break
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            (groups.add if line[:1] == b"+" else groups.discard)(int(line[1:]))
    for group in groups:
        try:
            os.killpg(group, signal.SIGKILL)
        except OSError:
            continue  # gone already


if __name__ == "__main__":
    main()
