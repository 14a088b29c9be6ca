"""The keyword arguments shared by everything that executes items; named like the command line's options."""

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from os import PathLike
from typing import Any, Literal, TypedDict

from everyitem.compose import Switch
from everyitem.engine.progress import Snapshot

NodeKindName = Literal["thread", "process", "async"]


class RunOptions(TypedDict, total=False):
    """How to execute. Each wins over the document, the environment and the configuration file."""

    #: FILE.py paths or module names that register item processors; none when already registered by import.
    processors: Sequence[str | PathLike[str]] | str | PathLike[str]
    #: Kind of all nodes, whatever the document allocates.
    nodes: NodeKindName
    #: Items that may run at the same time (never more than the allocated slots).
    parallelism: int
    #: Outcomes between two checkpoints.
    checkpoint_interval: int
    #: Attempts after the first, per item and round.
    max_retries: int
    #: Hours of active execution before TIMEOUT_ERROR; fractions allowed.
    timeout_hours: float
    #: File the response is written to as well, whole or not at all.
    out: str | PathLike[str]
    #: File every item's result is written to at the end: CSV for `*.csv`, else JSON lines.
    results: str | PathLike[str]
    #: Called about five times a second with a `Snapshot`, from a thread of the engine; must return quickly.
    on_progress: Callable[[Snapshot], None]
    #: A `Switch` to stop, pause or cancel from another thread.
    switch: Switch


#: Options of the command line that mean nothing to a caller, and what he does instead.
_COMMAND_LINE_ONLY = {
    "no_progress": "a call shows no progress; pass on_progress= to follow it",
    "fail_on_item_failure": "a call has no exit code; look at response.ok or response.items_failed",
    "server": "a call works on a store; use the command line's --server, or the server's HTTP API",
}


def check_options(given: Mapping[str, Any], *own: str) -> None:
    """Refuse keyword arguments nobody knows, as a function with spelt-out parameters would.

    `own` are the names the called function spells out itself.

    Raises:
        TypeError: naming the unknown argument and the nearest known one, or what to do instead; or one that
            could not be used when its time comes, with the batch half done.
    """
    known = [*own, *RunOptions.__annotations__]
    for name in given:
        if name in known:
            continue
        near = get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
        raise TypeError(f"unexpected keyword argument {name!r}; {_COMMAND_LINE_ONLY.get(name, hint)}")
    if not callable(given.get("on_progress") or print):
        raise TypeError(f"on_progress must be a function of a snapshot, not {given['on_progress']!r}")
    if not isinstance(given.get("switch") or Switch(), Switch):
        raise TypeError(f"switch must be an everyitem.Switch, not {given['switch']!r}")
