"""`everyitem serve`: run batches for a team, over HTTP."""

from pathlib import Path
from typing import Annotated

import typer

from everyitem.faces.api.conduct import Inbox
from everyitem.faces.cli import parameters as given
from everyitem.faces.cli.logs import logs_on_stderr
from everyitem.faces.cli.signals import listening
from everyitem.faces.cli.terminal import note, safe
from everyitem.settings import load_settings

_ADDRESS = "Address"


def serve(
    host: Annotated[
        str | None,
        typer.Option(
            "--host",
            metavar="HOST",
            help="Name or address to bind to; anything but loopback needs a token. Default: 127.0.0.1.",
            rich_help_panel=_ADDRESS,
            show_default=False,
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            metavar="N",
            min=0,
            max=65_535,
            help="Port; 0 chooses a free one. Default: 8484.",
            rich_help_panel=_ADDRESS,
            show_default=False,
        ),
    ] = None,
    certificate: Annotated[
        Path | None,
        typer.Option(
            "--certificate",
            metavar="FILE",
            help="PEM file with the certificate chain, for TLS.",
            rich_help_panel=_ADDRESS,
            show_default=False,
        ),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(
            "--key",
            metavar="FILE",
            help="PEM file with the certificate's key.",
            rich_help_panel=_ADDRESS,
            show_default=False,
        ),
    ] = None,
    require_token: Annotated[
        bool,
        typer.Option(
            "--require-token",
            help="Ask for a token on loopback, too.",
            rich_help_panel=_ADDRESS,
            show_default=False,
        ),
    ] = False,
    audit_log: Annotated[
        Path | None,
        typer.Option(
            "--audit-log",
            metavar="FILE",
            help="Append who changed what to this file. Default: standard error.",
            show_default=False,
        ),
    ] = None,
    processors: given.Processors = None,
    store: given.StoreUrl = None,
    config: given.ConfigFile = None,
    as_json: given.AsJson = False,  # noqa: ARG001 - every command takes it; this one prints no results
) -> None:
    """Run batches for a team, over HTTP.

    Accepts batches, carries several out at once by priority, goes on with unfinished ones after a restart,
    and answers the same questions the commands do; `everyitem --server URL` asks them from elsewhere. The
    administrator's token is EVERYITEM_API_TOKEN, further ones are made by `everyitem token create`. Settings
    not given here come from EVERYITEM_HTTP_... and [http] of everyitem.toml. The first SIGINT or SIGTERM
    drains and checkpoints.

    [bold]Example[/bold]

      everyitem serve --processors processors.py
    """
    from everyitem.faces.http.starting import make_server

    settings = load_settings(
        None if config is None else str(config),
        store=store,
        processors=tuple(processors) if processors else None,
    )
    for warning in settings.warnings:
        note(f"warning: {safe(warning)}")
    inbox = Inbox()
    serving = make_server(
        settings,
        inbox=inbox,
        say=lambda text: note(safe(text)),
        host=host,
        port=port,
        certificate=None if certificate is None else str(certificate),
        key=None if key is None else str(key),
        require_token=require_token or None,
        audit_log=None if audit_log is None else str(audit_log),
    )
    with logs_on_stderr(), listening(serving, inbox) as signals:
        serving.run()
    raise typer.Exit(signals.exit_code if signals.first else 0)
