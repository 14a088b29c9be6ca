"""`everyitem schema`: JSON Schemas of what goes in and comes out."""

from enum import StrEnum
from typing import Annotated

import msgspec
import typer

from everyitem.faces.cli import parameters as given
from everyitem.faces.cli.terminal import print_json


class Subject(StrEnum):
    """What there is a schema of."""

    BATCH = "batch"
    RESPONSE = "response"
    EVENT = "event"
    ASYNCAPI = "asyncapi"


def schema(
    subject: Annotated[Subject, typer.Argument(help="Which document.")] = Subject.BATCH,
    store: given.StoreUrl = None,  # noqa: ARG001 - every command takes them; a schema needs none
    config: given.ConfigFile = None,  # noqa: ARG001
    as_json: given.AsJson = False,  # noqa: ARG001 - it always is
) -> None:
    """Print a JSON Schema.

    Of the batch document, the response or an event; `asyncapi` describes all events as an AsyncAPI document.

    [bold]Examples[/bold]

      everyitem schema > batch.schema.json
      everyitem schema response
      everyitem schema asyncapi > asyncapi.json
    """
    # loads pydantic, which no other part of the command line's start needs
    from everyitem.faces.documents import asyncapi, schemas

    build = {
        Subject.BATCH: schemas.batch_schema,
        Subject.RESPONSE: schemas.response_schema,
        Subject.EVENT: schemas.event_schema,
        Subject.ASYNCAPI: asyncapi.asyncapi,
    }[subject]
    print_json(msgspec.json.encode(build()))
