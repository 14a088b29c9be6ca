"""Forks: the child an item makes of our process must not go on with our work.

Both return from the item processor, each with everything the process had. The child would call all items it
still sees once more, for nobody, and never end.
"""

import os
from typing import Final, NoReturn

#: What a child that came back ends with: its program is at fault (`EX_SOFTWARE`).
EXIT_CODE: Final = 70

_here: list[bool] = []


def copied() -> list[bool]:
    """What is false as long as this process lives, and true in every process that is forked from it.

    A list, because to look whether it is empty costs an item next to nothing.
    """
    return _here


def _begin_anew() -> None:
    global _here
    _here.append(True)
    _here = []


os.register_at_fork(after_in_child=_begin_anew)


def end_child(of: str, *, raised: str = "") -> NoReturn:
    """End this process, which somebody's code forked and let come back to us.

    `of` says whose (`item 7`), `raised` the exception it came back with. Nothing is flushed and no handler
    runs: all of that is the parent's.
    """
    how = f", with {raised}" if raised else ""
    sentence = (
        f"{of} forked a process that came back to everyitem{how}; it is ended: let it call os._exit()\n"
    )
    os.write(2, sentence.encode(errors="backslashreplace"))
    os._exit(EXIT_CODE)
