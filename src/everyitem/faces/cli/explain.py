"""`everyitem explain`: the whole story of one item."""

import linecache
from collections.abc import Iterator

import typer

from everyitem.faces.api.explanation import Attempt, Explanation
from everyitem.faces.cli import parameters as given
from everyitem.faces.cli.damage import Damage
from everyitem.faces.cli.display.figures import duration, moment
from everyitem.faces.cli.exits import RESPONSE_ERROR
from everyitem.faces.cli.opening import open_looking
from everyitem.faces.cli.terminal import is_for_people, print_json, safe, write_out

#: Characters of an item or result a person is shown; `--json` prints them whole.
_SHOWN = 2000


def explain(
    batch_id: given.BatchId,
    item_id: given.ItemId,
    execution: given.ExecutionNumber = None,
    store: given.StoreUrl = None,
    config: given.ConfigFile = None,
    as_json: given.AsJson = False,
) -> None:
    """Tell the whole story of one item.

    Every attempt over all rounds with its error and traceback, and what the item logged.

    [bold]Examples[/bold]

      everyitem explain eod-2026-11-20 t-17
      everyitem explain eod-2026-11-20 t-17 --json | jq '.attempts[].error'
    """
    with open_looking(store, config) as session:
        damage = Damage(batch_id)
        found = session.explain(batch_id, item_id, execution=execution, on_damage=damage)
    if is_for_people(as_json=as_json):
        write_out(f"{line}\n".encode() for line in story(found))
    else:
        print_json(found.to_json())
    damage.say()
    if damage:
        raise typer.Exit(RESPONSE_ERROR)


def story(found: Explanation) -> Iterator[str]:
    """The explanation in lines for people, with tracebacks as Python prints them."""
    yield f"{safe(found.batch_id)}, execution {found.execution}"
    yield f"item {safe(found.item_id)}, position {found.index}"
    yield f"state:  {found.status}"
    yield f"item:   {_cut(bytes(found.item_json))}"
    if found.doubt:
        yield f"doubt:  {safe(found.doubt)}"
        yield "        everyitem settle says what became of it"
    if found.deferred:
        yield f"awaits: the event that completes attempt {found.deferred.attempt}"
        yield f"        until {moment(found.deferred.until)}"
    if not found.attempts:
        yield "no attempt is recorded yet"
    for attempt in found.attempts:
        yield ""
        yield from _attempt(attempt)


def _attempt(attempt: Attempt) -> Iterator[str]:
    end = "" if attempt.final else ", to be tried again"
    if attempt.excused:
        end = f", excused ({_excuse(attempt)}){end}"
    recorded = f"checkpoint {attempt.checkpoint} at {moment(attempt.recorded_at)}"
    yield (
        f"round {attempt.round}, attempt {attempt.attempt}: {attempt.status}{end}, "
        f"{duration(attempt.duration_ms / 1000)}, {recorded}"
    )
    if attempt.settled:
        said = attempt.settled
        yield f"  was in doubt ({safe(said.doubt)})"
        reason = f": {safe(said.reason)}" if said.reason else ""
        yield f"  settled as {said.decision} by {safe(said.by)} at {moment(said.at)}{reason}"
    for log in attempt.logs:
        yield f"  log {safe(log.level)}: {safe(log.message)}"
    if attempt.error:
        if attempt.frames:
            yield "  Traceback (most recent call last):"
        for frame in attempt.frames:
            yield f'    File "{safe(frame.file)}", line {frame.line}, in {safe(frame.function)}'
            source = linecache.getline(frame.file, frame.line).strip()
            if source:  # the file may have moved or changed since
                yield f"      {safe(source)}"
        yield f"  {attempt.error.code} {safe(attempt.error.type)}: {safe(attempt.error.message)}"
        for cause in attempt.causes:
            yield f"    from {safe(cause)}"
    elif attempt.result_json:
        yield f"  result: {_cut(bytes(attempt.result_json))}"


def _excuse(attempt: Attempt) -> str:
    """Why a failed attempt used up no retry."""
    if attempt.excused == "retry-later":
        return "RetryLater"
    # the error that follows may be in another word than those by which the outage was noticed
    return f"an outage: {safe(attempt.family)}" if attempt.family else "an outage"


def _cut(text: bytes) -> str:
    shown = text.decode("utf-8")
    return safe(
        shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]} … ({len(shown):,} characters; see --json)"
    )
