"""`everyitem cyoda install`: prepare a Cyoda platform for batches."""

from enum import StrEnum
from typing import Annotated

import typer

from everyitem.faces.cli import parameters as given
from everyitem.faces.cli.terminal import note, safe
from everyitem.model.errors import UsageError
from everyitem.settings import load_settings


class Action(StrEnum):
    """What can be done."""

    INSTALL = "install"


def cyoda(
    action: Annotated[Action, typer.Argument(help="`install`.", show_default=False)],  # noqa: ARG001 - one so far
    url: Annotated[
        str,
        typer.Option(
            "--url",
            metavar="URL",
            help="The platform's HTTP interface, http://HOST:PORT/api.",
            show_default=False,
        ),
    ],
    token_url: given.TokenUrl = None,
    client_id: given.ClientId = None,
    client_secret_file: given.ClientSecretFile = None,
    store: given.StoreUrl = None,
    config: given.ConfigFile = None,
    as_json: given.AsJson = False,  # noqa: ARG001 - every command takes it; this one prints no results
) -> None:
    """Prepare a Cyoda platform for batches.

    Imports the model ProcessingBatch and its workflow, and the models of what is written back,
    BatchItemResult and BatchEvent; says what it did. May be repeated: a model that is there is left as it is,
    the workflow is replaced.

    [bold]Example[/bold]

      everyitem cyoda install --url http://127.0.0.1:8080/api
    """
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"--url {url!r}: name it like http://HOST:PORT/api")
    from everyitem.faces.cyoda.installing import install
    from everyitem.faces.cyoda.options import read_access

    settings = load_settings(None if config is None else str(config), store=store)
    access = read_access(
        settings,
        token_url=token_url,
        client_id=client_id,
        client_secret_file=None if client_secret_file is None else str(client_secret_file),
    )
    install(url, access.credentials(), say=lambda text: note(safe(text)))
