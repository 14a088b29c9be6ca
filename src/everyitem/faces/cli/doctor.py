"""`everyitem doctor`: is this machine fit for batches, and what to do where it is not."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.text import Text

from everyitem.faces.api.machine import Check, Verdict, examine
from everyitem.faces.api.store_checks import examine_store
from everyitem.faces.cli import parameters as given
from everyitem.faces.cli.exits import RESPONSE_ERROR
from everyitem.faces.cli.opening import open_session
from everyitem.faces.cli.terminal import is_for_people, note, print_json, print_table, safe
from everyitem.settings import load_settings

_STYLES = {Verdict.OK: "green", Verdict.INFO: "cyan", Verdict.WARNING: "yellow", Verdict.FAULT: "bold red"}


def doctor(
    store: given.StoreUrl = None,
    config: given.ConfigFile = None,
    cyoda: Annotated[
        bool,
        typer.Option(
            "--cyoda",
            help="Check the platform too: token, endpoints, role, as `\\[cyoda]` of the configuration says.",
            show_default=False,
        ),
    ] = False,
    as_json: given.AsJson = False,
) -> None:
    """Check this machine and the store.

    Says what to do about each fault or warning; exits with 1 when it finds a fault.

    [bold]Example[/bold]

      everyitem doctor --store sqlite:///batches.db
    """
    with open_session(store, config, announce=False) as session:
        checks = [*examine(), *examine_store(session)]
    if cyoda:
        checks = [*checks, *_examine_platform(config)]
    healthy = all(check.verdict is not Verdict.FAULT for check in checks)
    if is_for_people(as_json=as_json):
        _show(checks)
    else:
        print_json(msgspec.json.encode({"healthy": healthy, "checks": checks}))
    if not healthy:
        raise typer.Exit(RESPONSE_ERROR)


def _examine_platform(config: Path | None) -> Sequence[Check]:
    from everyitem.faces.cyoda.serving import require_extra

    require_extra()
    from everyitem.faces.cyoda.examining import examine_platform, examine_results
    from everyitem.faces.cyoda.member import connect_frame
    from everyitem.faces.cyoda.options import read_options

    options = read_options(load_settings(None if config is None else str(config)))
    return [*examine_platform(connect_frame(options)), *examine_results(options)]


def _show(checks: Sequence[Check]) -> None:
    print_table(
        ("", "check", "found"),
        [(Text(check.verdict, style=_STYLES[check.verdict]), check.name, check.found) for check in checks],
    )
    for check in checks:
        if check.advice:
            note(f"{check.verdict}: {check.name}: {safe(check.advice)}")
