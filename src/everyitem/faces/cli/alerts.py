"""`everyitem alerts`: what the operations team was told, and what it says to that."""

from collections.abc import Sequence
from typing import Annotated

import msgspec
import typer

from everyitem.faces.api.session import Session
from everyitem.faces.api.views import AlertView
from everyitem.faces.cli import parameters as given
from everyitem.faces.cli.display.figures import moment
from everyitem.faces.cli.opening import open_session
from everyitem.faces.cli.terminal import is_for_people, note, print_json, print_table, safe
from everyitem.model.errors import UsageError

_ACKNOWLEDGE, _SILENCE = "acknowledge", "silence"


def alerts(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[BATCH_ID | acknowledge ALERT_ID | silence [BATCH_ID]]",
            help="A batch; or what to do with an alert.",
            show_default=False,
        ),
    ] = None,
    minutes: Annotated[
        float,
        typer.Option(
            "--for", metavar="MINUTES", min=0, help="How long to be silent; 0 ends every silence in force."
        ),
    ] = 60.0,
    kind: Annotated[
        str, typer.Option("--kind", metavar="KIND", help="Only this kind is silenced, e.g. storage-*.")
    ] = "*",
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why it is silenced.", show_default=False)
    ] = "",
    store: given.StoreUrl = None,
    config: given.ConfigFile = None,
    as_json: given.AsJson = False,
) -> None:
    """List alerts, acknowledge one, or silence some.

    Lists the latest, newest first. An alert that is acknowledged is not repeated. Silenced ones are recorded,
    and told when the silence is over and they still stand.

    [bold]Examples[/bold]

      everyitem alerts
      everyitem alerts eod-2026-11-20
      everyitem alerts acknowledge 3f9a01cc
      everyitem alerts silence 'eod-*' --for 120 --kind 'storage-*' --reason 'the store is being moved'
    """
    word, *rest = words or [""]
    with open_session(store, config, announce=word not in (_ACKNOWLEDGE, _SILENCE)) as session:
        match word, rest:
            case "acknowledge", [alert_id]:
                session.acknowledge(alert_id)
                note(f"{safe(alert_id)}: acknowledged; nobody is told of it again")
            case "acknowledge", _:
                raise UsageError("acknowledge which alert? `everyitem alerts` lists them with their ids")
            case "silence", [] | [_]:
                _silence(session, rest[0] if rest else "*", minutes, kind, reason)
            case _, []:
                _show(session.alerts(word or None), as_json=as_json)
            case _:
                raise UsageError(f"what is {' '.join(rest)!r} for? see `everyitem alerts --help`")


def _silence(session: Session, batch_id: str, minutes: float, kind: str, reason: str) -> None:
    if minutes == 0:
        note(f"silences ended: {session.end_silences()}")
        return
    session.silence(60 * minutes, batch_id=batch_id, kind=kind, reason=reason)
    note(f"nobody is told of {safe(kind)} of batch {safe(batch_id)} for {minutes:g} minutes")


def _show(shown: Sequence[AlertView], *, as_json: bool) -> None:
    if not is_for_people(as_json=as_json):
        print_json(msgspec.json.encode(list(shown)))
    elif not shown:
        note("no alerts")
    else:
        print_table(
            ("alert", "level", "state", "raised at", "batch", "kind", "told", "what"),
            (
                (
                    one.alert_id,
                    one.level,
                    one.state,
                    moment(one.raised_at),
                    one.batch_id,
                    one.kind,
                    f"{one.pages}×" if one.pages else "",
                    one.text,
                )
                for one in shown
            ),
            right=(6,),
            whole=(0, 1, 2),
        )
