"""`everyitem member`: be a calculation node of the Cyoda platform."""

from pathlib import Path
from typing import Annotated

import typer

from everyitem.faces.api.conduct import Inbox
from everyitem.faces.cli import parameters as given
from everyitem.faces.cli.logs import logs_on_stderr
from everyitem.faces.cli.signals import listening
from everyitem.faces.cli.terminal import note, safe
from everyitem.settings import load_settings

_CONNECTION = "Connection"


def member(
    endpoint: Annotated[
        list[str] | None,
        typer.Option(
            "--endpoint",
            metavar="HOST:PORT",
            help="A gRPC endpoint of the platform; repeatable, one per server node.",
            rich_help_panel=_CONNECTION,
            show_default=False,
        ),
    ] = None,
    plaintext: Annotated[
        bool,
        typer.Option(
            "--plaintext", help="Connect without TLS.", rich_help_panel=_CONNECTION, show_default=False
        ),
    ] = False,
    tls: Annotated[
        bool,
        typer.Option("--tls", help="Connect with TLS.", rich_help_panel=_CONNECTION, show_default=False),
    ] = False,
    ca: Annotated[
        Path | None,
        typer.Option(
            "--ca",
            metavar="FILE",
            help="Trust the authorities in this PEM file instead of the system's.",
            rich_help_panel=_CONNECTION,
            show_default=False,
        ),
    ] = None,
    tag: Annotated[
        str | None,
        typer.Option(
            "--tag",
            help="What workflows name as calculationNodesTags. Default: batch-execution.",
            rich_help_panel=_CONNECTION,
            show_default=False,
        ),
    ] = None,
    token_url: given.TokenUrl = None,
    client_id: given.ClientId = None,
    client_secret_file: given.ClientSecretFile = None,
    processors: given.Processors = None,
    store: given.StoreUrl = None,
    config: given.ConfigFile = None,
    as_json: given.AsJson = False,  # noqa: ARG001 - every command takes it; this one prints no results
) -> None:
    """Be a calculation node of the Cyoda platform.

    Joins, is dispatched ProcessingBatch entities, executes each once and answers with the results in the
    entity. Settings not given here come from EVERYITEM_CYODA_... and [cyoda] of everyitem.toml. The first
    SIGINT or SIGTERM drains and checkpoints; what was not finished is resumed when it is dispatched again.

    [bold]Example[/bold]

      everyitem member --endpoint 127.0.0.1:9090 --plaintext --processors processors.py
    """
    from everyitem.faces.cyoda.serving import make_member

    settings = load_settings(None if config is None else str(config), store=store)
    for warning in settings.warnings:
        note(f"warning: {safe(warning)}")
    inbox = Inbox()
    serving = make_member(
        settings,
        processors=processors,
        inbox=inbox,
        say=lambda text: note(safe(text)),
        endpoints=endpoint,
        plaintext=plaintext or None,
        tls=tls or None,
        ca=None if ca is None else str(ca),
        tag=tag,
        token_url=token_url,
        client_id=client_id,
        client_secret_file=None if client_secret_file is None else str(client_secret_file),
    )
    with logs_on_stderr(settings.log_format), listening(serving, inbox) as signals:
        serving.run()
    raise typer.Exit(signals.exit_code)
