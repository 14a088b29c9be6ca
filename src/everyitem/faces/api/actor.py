"""Who does something: for the record of what people did to a batch."""

import getpass
import os
import socket


def local_actor() -> str:
    """The user and the machine, as far as they are known."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
