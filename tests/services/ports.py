"""Ports for servers that cannot choose one by themselves, or have to come back where they were."""

import os
import random
import socket

#: Below those the kernel hands out to whoever asks for any: nobody gets one of them by accident, and who
#: calls a server that is away cannot get its port for his own end of the connection, and with it an answer.
_PORTS = range(20_000, 32_000)
#: Each of pytest's processes has ports of its own.
_SHARES = 16


def free_port() -> int:
    """A port nobody listens at. Raises `StopIteration` where there is none."""
    share = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _SHARES
    mine = [port for port in _PORTS if port % _SHARES == share]
    # another run of these tests may look for one on this machine at the same moment
    return next(filter(_is_free, random.SystemRandom().sample(mine, len(mine))))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True
