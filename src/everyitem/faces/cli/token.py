"""`everyitem token`: access tokens of the HTTP API."""

import time
from contextlib import closing
from enum import StrEnum
from typing import Annotated

import typer

from everyitem import compose
from everyitem.faces.api.actor import local_actor
from everyitem.faces.cli import parameters as given
from everyitem.faces.cli.display.figures import moment
from everyitem.faces.cli.terminal import is_for_people, note, print_json, print_table, safe, write_out
from everyitem.faces.http.security.scopes import Scope
from everyitem.faces.http.security.tokens import MadeToken, TokenInfo, Tokens, make_token
from everyitem.model.errors import UsageError
from everyitem.ports.tokens import TokenStore
from everyitem.settings import load_settings


class Action(StrEnum):
    """What can be done with tokens."""

    CREATE = "create"
    LIST = "list"
    REVOKE = "revoke"


def token(
    action: Annotated[Action, typer.Argument(help="What to do.", show_default=False)],
    token_id: Annotated[
        str | None,
        typer.Argument(
            metavar="[TOKEN_ID]", help="Which token to revoke, as `list` names it.", show_default=False
        ),
    ] = None,
    scope: Annotated[
        Scope | None,
        typer.Option(
            "--scope",
            help="What the token is good for: read looks, run also submits and steers, admin also manages "
            "tokens.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--name", help="Whose it is, or what for; histories name it.", show_default=False),
    ] = None,
    expires_in_days: Annotated[
        float | None,
        typer.Option(
            "--expires-in-days",
            metavar="D",
            min=0.0,
            help="Days it is good for. Default: until it is revoked.",
            show_default=False,
        ),
    ] = None,
    store: given.StoreUrl = None,
    config: given.ConfigFile = None,
    as_json: given.AsJson = False,
) -> None:
    """Make, list and revoke access tokens.

    A token is shown once, when it is made: the store keeps a digest only. One that is revoked is worthless
    at once.

    [bold]Examples[/bold]

      everyitem token create --scope run --name nightly
      everyitem token list
      everyitem token revoke 1f2e3d4c5b6a
    """
    if action is not Action.REVOKE and token_id is not None:
        raise UsageError(f"token {action} takes no token id")
    settings = load_settings(None if config is None else str(config), store=store)
    with closing(compose.open_tokens(settings.store or compose.default_store_url())) as tokens:
        match action:
            case Action.CREATE:
                _create(tokens, scope, name, expires_in_days, as_json=as_json)
            case Action.LIST:
                _list(tokens, as_json=as_json)
            case Action.REVOKE:
                _revoke(tokens, token_id)


def _create(
    tokens: TokenStore, scope: Scope | None, name: str | None, days: float | None, *, as_json: bool
) -> None:
    if scope is None:
        raise UsageError(f"say what the token is good for: --scope {'|'.join(Scope)}")
    made = make_token(
        name or f"{scope} token",
        scope,
        by=local_actor(),
        now=time.time(),
        lifetime_seconds=None if days is None else days * 86_400,
    )
    tokens.add(made.record)
    if is_for_people(as_json=as_json):
        note(f"token {made.record.token_id}, shown this once:")
        write_out([made.text.encode(), b"\n"])
    else:
        print_json(MadeToken.of_new(made).to_json())


def _list(tokens: TokenStore, *, as_json: bool) -> None:
    found = Tokens(tokens=tuple(map(TokenInfo.of, tokens.all())))
    if not is_for_people(as_json=as_json):
        print_json(found.to_json())
        return
    rows = [
        (
            one.token_id,
            one.scope,
            one.name,
            moment(one.created_at) if one.created_at else "",
            f"revoked {moment(one.revoked_at)}" if one.revoked_at else _expiry(one),
        )
        for one in found.tokens
    ]
    print_table(("token", "scope", "name", "made", "good until"), rows, whole=(0,))


def _expiry(token: TokenInfo) -> str:
    return moment(token.expires_at) if token.expires_at else "revoked"


def _revoke(tokens: TokenStore, token_id: str | None) -> None:
    if token_id is None:
        raise UsageError("say which token: everyitem token revoke TOKEN_ID")
    if not tokens.revoke(token_id, time.time()):
        raise UsageError(f"there is no token {token_id!r}; see `everyitem token list`")
    note(f"token {safe(token_id)} is revoked")
