"""Which item processors there are, without their code in this process.

The service carries out nothing itself: a process of its own loads the operator's files and says what they
register. Run as a module, this is that process.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import Final, NamedTuple

from everyitem.faces.service.errors import ProcessorsUnusable
from everyitem.model.errors import UnknownProcessor, UsageError

#: Seconds to wait for the files to load.
_PATIENCE: Final = 60.0
#: Seconds between two looks for a name nobody knew.
_LOOK: Final = 5.0


class KnownProcessor(NamedTuple):
    """An item processor as far as a queue must know it."""

    name: str
    is_async: bool
    code_digest: str


class Catalogue:
    """The item processors of the operator's files. Safe to use from any thread."""

    def __init__(self, processors: Sequence[str]) -> None:
        """`processors` are FILE.py paths or module names."""
        self._where = tuple(processors)
        self._guard = threading.Lock()
        self._known: dict[str, KnownProcessor] = {}
        #: When (monotonic) they were looked at last, and what came in the way.
        self._looked = -_LOOK
        self._trouble = ""

    def load(self) -> None:
        """Look what there is now. Raises `ProcessorsUnusable` when a file is not there or does not load."""
        with self._guard:
            self._load()

    def find(self, name: str) -> KnownProcessor:
        """The item processor of this name, which may have been registered since the last look.

        Raises `UnknownProcessor` naming those there are, and `ProcessorsUnusable` when nobody can tell.
        """
        if (known := self._known.get(name)) is not None:
            # without waiting for others who look for something else
            return known
        with self._guard:
            if name not in self._known and time.monotonic() - self._looked >= _LOOK:
                self._load()
            if name in self._known:
                return self._known[name]
            if self._trouble:
                raise ProcessorsUnusable(self._trouble)
            names = ", ".join(sorted(self._known)) or "none"
        raise UnknownProcessor(
            f"no item processor {name!r} is registered in the service; registered: {names}"
        )

    def is_async(self, name: str) -> bool:
        """Whether the item processor of this name is a coroutine function. Raises as `find` does."""
        return self.find(name).is_async

    def _load(self) -> None:
        try:
            self._known = {one.name: one for one in self._ask()}
        except ProcessorsUnusable as trouble:
            self._trouble = str(trouble)
            raise
        finally:
            self._looked = time.monotonic()
        self._trouble = ""

    def _ask(self) -> Sequence[KnownProcessor]:
        try:
            said = subprocess.run(
                [sys.executable, "-m", __name__, *self._where],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                timeout=_PATIENCE,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ProcessorsUnusable(f"the item processors cannot be loaded: {error}") from error
        # a file may end the process while it is loaded, with whatever exit code
        if said.returncode or not said.stdout:
            raise ProcessorsUnusable(
                said.stderr.decode("utf-8", "replace").strip()[-2000:]
                or f"loading the item processors ended with exit code {said.returncode}"
            )
        return [KnownProcessor(*entry) for entry in json.loads(said.stdout)]


def main(processors: Sequence[str]) -> int:
    """Load these files and say on standard output what they register."""
    from everyitem.faces.api.reading import load_item_processors
    from everyitem.work.processors import registered_processors

    # what the files print while they are loaded goes elsewhere
    out = os.dup(1)
    os.dup2(2, 1)
    try:
        load_item_processors(processors)
    except UsageError as error:
        print(error, file=sys.stderr)
        return 2
    found = [KnownProcessor(one.name, one.is_async, one.code_digest) for one in registered_processors()]
    with os.fdopen(out, "w", encoding="utf-8") as answer:
        answer.write(json.dumps(found) + "\n")
    sys.stderr.flush()
    # what a file has started must not keep us
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
