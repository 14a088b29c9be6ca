"""`everyitem status`: where an execution stands."""

from everyitem.faces.api.views import Status
from everyitem.faces.cli import parameters as given
from everyitem.faces.cli.display.figures import count, duration, moment, percent, rate
from everyitem.faces.cli.opening import open_looking
from everyitem.faces.cli.terminal import is_for_people, print_json, print_table


def status(
    batch_id: given.BatchId,
    execution: given.ExecutionNumber = None,
    store: given.StoreUrl = None,
    config: given.ConfigFile = None,
    as_json: given.AsJson = False,
) -> None:
    """Say where an execution stands.

    Also while another process runs it.

    [bold]Examples[/bold]

      everyitem status eod-2026-11-20
      everyitem status eod-2026-11-20 --json | jq .state
    """
    with open_looking(store, config) as session:
        print_status(session.status(batch_id, execution=execution), as_json=as_json)


def print_status(found: Status, *, as_json: bool) -> None:
    """A status as JSON, or as a table on a terminal."""
    if not is_for_people(as_json=as_json):
        print_json(found.to_json())
        return
    finished = found.succeeded + found.failed
    rows: list[tuple[str, str]] = [
        ("batch", f"{found.batch_id}, execution {found.execution}, round {found.round}, run {found.runs}"),
        ("state", found.state),
        ("processor", found.processor),
        ("done", f"{percent(finished, found.items)}  {count(finished)} of {count(found.items)}"),
        ("succeeded", count(found.succeeded)),
        ("failed", count(found.failed)),
        ("open", count(found.open)),
    ]
    if found.in_doubt:
        rows.append(("in doubt", f"{count(found.in_doubt)} of these; see failures, then settle"))
    if found.deferred:
        rows.append(("deferred", f"{count(found.deferred)} of these await an event"))
    if found.in_flight or found.retries_waiting or found.rate_per_second:
        eta = "unknown" if found.eta_seconds is None else duration(found.eta_seconds)
        rows += [
            ("in flight", count(found.in_flight)),
            ("retries", f"{count(found.retries_waiting)} waiting"),
            ("pace", f"{rate(found.rate_per_second)}, ETA {eta}"),
        ]
    last = f", the last at {moment(found.last_checkpoint)}" if found.last_checkpoint else ""
    rows.append(("checkpoints", f"{count(found.checkpoints)}{last}"))
    for name, sums in found.control_totals.items():
        parts = " + ".join(f"{sums[part]} {part}" for part in ("succeeded", "failed", "open"))
        rows.append((f"total {name}", f"{sums['input']} = {parts}"))
    print_table(("", ""), rows)
