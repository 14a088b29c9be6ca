"""What a bound on elapsed time means on a machine that is slow just now."""

import subprocess
import sys
import time

#: What shows how slow a machine is just now: starting Python, and nothing of ours, which may get slower.
_YARDSTICK = (sys.executable, "-c", "import asyncio, email, sqlite3, unittest.mock")
#: Seconds that takes, at most, on a machine that has time for it.
USUAL = 0.16


def in_time(took: float, bound: float) -> bool:
    """Whether something took less than its bound, or so much more as all takes longer here at this moment.

    The bounds of these tests are three times what is promised for a machine with time for the program.
    """
    return took < bound or took < at_pace(bound)


def at_pace(seconds: float) -> float:
    """So many seconds of a machine with time for the program, on this one just now; never less."""
    return seconds * max(1.0, _slowness())


def _slowness() -> float:
    began = time.monotonic()
    subprocess.run(_YARDSTICK, check=True, capture_output=True)
    return (time.monotonic() - began) / USUAL
