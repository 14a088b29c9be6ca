"""A service of its own, for what is measured through HTTP."""

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_numbers = itertools.count()


@contextmanager
def serving(directory: Path, **settings: str) -> Iterator[str]:
    """The URL of a service on a new store, with these settings (as `EVERYITEM_...` of the environment)."""
    store = directory / f"service-{next(_numbers)}.sqlite"
    arguments = ["--port", "0", "--store", f"sqlite:///{store}", "--processors", "benchmarks.processors"]
    command = [sys.executable, "-m", "everyitem", "serve", *arguments]
    environment = {**os.environ, **{f"EVERYITEM_{name}": value for name, value in settings.items()}}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        try:
            for line in process.stderr:
                if line.startswith("serving at "):
                    yield line.removeprefix("serving at ").strip()
                    break
            else:
                raise RuntimeError("the service did not start")
        finally:
            process.terminate()
