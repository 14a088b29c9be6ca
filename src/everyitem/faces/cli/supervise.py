"""`--supervise`: the command runs in a process of its own, which is started again when it crashes."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from everyitem.faces.cli.exits import RESPONSE_ERROR
from everyitem.faces.cli.terminal import note, print_json, safe, write_out
from everyitem.faces.supervision.link import link

if TYPE_CHECKING:
    from everyitem.faces.supervision.supervisor import GaveUp

_OPTION = "--supervise"


def wants_supervision(arguments: Sequence[str]) -> bool:
    """Whether this process is to supervise the command instead of carrying it out."""
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    asks_for_help = any(one in ("-h", "--help") for one in options)
    return _OPTION in options and not asks_for_help and not link().is_there


def supervise(arguments: Sequence[str]) -> int:
    """Run `everyitem ARGUMENTS` in a supervised process; returns its exit code."""
    # not at the top: every command passes this module, and few are supervised
    import shutil
    import tempfile

    from everyitem.faces.supervision.supervisor import GaveUp, Supervisor

    # a process that is killed between its answer and its end answers again: only the last one is passed on
    with tempfile.TemporaryFile() as spool, tempfile.TemporaryFile() as answer:
        if "-" in arguments:
            # every process reads the document from its beginning
            with open(0, "rb", closefd=False) as stdin:
                shutil.copyfileobj(stdin, spool)
        supervisor = Supervisor(
            [sys.executable, "-m", "everyitem", *arguments],
            stdin=spool if "-" in arguments else None,
            stdout=answer,
            say=lambda text: note(f"everyitem: {text}"),
            keeps_reserve=True,
        )
        try:
            code = supervisor.run()
        except GaveUp as gave_up:
            return _answer(gave_up)
        answer.seek(0)
        write_out([answer.read()])
        return code


def _answer(gave_up: "GaveUp") -> int:
    """The response nobody is left to give."""
    # not at the top: it loads what only the supervised process needs
    from everyitem.faces.api.refusal import refusal
    from everyitem.model.errors import ErrorCode, EveryitemError

    error = EveryitemError(str(gave_up))
    error.code = ErrorCode.SYSTEM_ERROR
    recovery = gave_up.recovery
    note(f"everyitem: {safe(error)}")
    print_json(refusal(error, batch_id=recovery.batch_id if recovery else None).to_json().encode())
    return RESPONSE_ERROR
