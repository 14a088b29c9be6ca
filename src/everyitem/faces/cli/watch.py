"""`everyitem watch`: the live picture of an execution that another process runs."""

import time
from typing import TYPE_CHECKING

from everyitem.faces.api.views import Status
from everyitem.faces.cli import parameters as given
from everyitem.faces.cli.display import make_display
from everyitem.faces.cli.opening import open_looking
from everyitem.faces.cli.status import print_status
from everyitem.faces.cli.terminal import print_lines

if TYPE_CHECKING:
    from everyitem.faces.cli.opening import Looking

#: Seconds between two looks; the owner writes its progress about once a second.
_LOOK_EVERY = 0.5


def watch(
    batch_id: given.BatchId,
    execution: given.ExecutionNumber = None,
    store: given.StoreUrl = None,
    config: given.ConfigFile = None,
    as_json: given.AsJson = False,
) -> None:
    """Watch an execution from another terminal.

    Until it ends or nobody works on it; at the end its status goes to standard output. With --json every
    change is printed, one status a line.

    [bold]Example[/bold]

      everyitem watch eod-2026-11-20
    """
    with open_looking(store, config) as session:
        # the latest execution is chosen once: a rerun must not take its place while we watch
        found = session.status(batch_id, execution=execution)
        if as_json:
            _follow(session, found)
        else:
            print_status(_show(session, found), as_json=False)


def _follow(session: "Looking", found: Status) -> None:
    """Print each status that differs from the one before."""
    is_read = print_lines([found.to_json()])
    while found.state.is_active and is_read:
        time.sleep(_LOOK_EVERY)
        last, found = found, session.status(found.batch_id, execution=found.execution)
        if found != last:
            is_read = print_lines([found.to_json()])


def _show(session: "Looking", found: Status) -> Status:
    """Keep the display up to date; returns the last status."""
    with make_display(found.batch_id) as display:
        while found.state.is_active:
            display(session.snapshot(found.batch_id, execution=found.execution))
            time.sleep(_LOOK_EVERY)
            found = session.status(found.batch_id, execution=found.execution)
    return found
