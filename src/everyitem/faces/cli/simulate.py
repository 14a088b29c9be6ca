"""`everyitem simulate`: bad days for the engine, one seed each; the story of one of them; a large fleet."""

import re
import time
from collections.abc import Iterable, Iterator
from typing import Annotated

import msgspec
import typer

from everyitem.faces.cli import parameters as given
from everyitem.faces.cli.exits import RESPONSE_ERROR
from everyitem.faces.cli.terminal import is_for_people, note, print_json, print_lines
from everyitem.model.errors import UsageError


class BadDay(msgspec.Struct, frozen=True):
    """A seed that broke an invariant."""

    seed: int
    #: Which one, and how.
    fault: str


def simulate(
    seed: Annotated[
        int | None,
        typer.Option("--seed", metavar="N", min=0, help="Tell the story of this seed.", show_default=False),
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(
            "--seeds", metavar="A..B", help="Run the seeds A to B, both included.", show_default=False
        ),
    ] = None,
    count: Annotated[int, typer.Option("--count", metavar="N", min=1, help="Run the first N seeds.")] = 1000,
    nodes: Annotated[
        int | None,
        typer.Option("--nodes", metavar="N", min=1, help="A good day with N nodes.", show_default=False),
    ] = None,
    items: Annotated[
        int, typer.Option("--items", metavar="N", min=0, help="Items for the nodes.")
    ] = 1_000_000,
    slots: Annotated[int, typer.Option("--slots", metavar="N", min=1, help="Workers of each node.")] = 1,
    item_ms: Annotated[
        float, typer.Option("--item-ms", metavar="MS", help="What an item takes, in milliseconds.")
    ] = 1.0,
    slow: Annotated[
        float, typer.Option("--slow", metavar="X", help="The slowest 1 % takes X times as long.")
    ] = 10.0,
    round_trip_ms: Annotated[
        float, typer.Option("--round-trip-ms", metavar="MS", min=0, help="The way to a node and back.")
    ] = 10.0,
    lose: Annotated[int, typer.Option("--lose", metavar="N", min=0, help="Nodes lost on the way.")] = 0,
    decision_us: Annotated[
        float,
        typer.Option("--decision-us", metavar="US", min=0, help="What a message costs the coordinator."),
    ] = 0.0,
    store: given.StoreUrl = None,  # noqa: ARG001 - every command takes them; a simulation touches nothing
    config: given.ConfigFile = None,  # noqa: ARG001
    as_json: given.AsJson = False,
) -> None:
    """Play bad days with the engine.

    Its real decisions meet crashes, lost messages, failing stores and clocks that are set, on virtual time;
    nothing outside is touched. Exits with 1 when a seed breaks an invariant. One seed is one exact replay.

    With --nodes it is a good day on a large fleet: how long the batch takes, what scheduling costs, and
    with how many nodes one coordinator has its hands full.

    [bold]Examples[/bold]

      everyitem simulate --seed 17
      everyitem simulate --seeds 2000..2999

      everyitem simulate --nodes 10000 --items 100000000
    """
    if seed is not None and seeds is not None:
        raise UsageError("--seed tells one story, --seeds runs many days; give one of them")
    if nodes is not None:
        from everyitem.faces.cli.fleet import show_fleet
        from everyitem.testing.fleet import Setting

        if seeds is not None:
            raise UsageError("--seeds runs bad days, --nodes a good one on a fleet; give one of them")
        setting = Setting(
            items=items,
            nodes=nodes,
            slots=slots,
            item_seconds=item_ms / 1000,
            slow=slow,
            round_trip=round_trip_ms / 1000,
            lost=lose,
            decision=decision_us / 1e6,
            seed=seed or 0,
        )
        show_fleet(setting, as_json=as_json)
        return
    if seed is not None:
        _tell(seed)
        return
    wanted = range(count) if seeds is None else _range_of(seeds)
    begun = time.monotonic()
    bad = list(_live_through(wanted))
    if not is_for_people(as_json=as_json):
        print_json(msgspec.json.encode({"seeds": len(wanted), "sound": not bad, "bad": bad}))
    else:
        for day in bad:
            note(f"seed {day.seed}: {day.fault} (everyitem simulate --seed {day.seed})")
        rate = len(wanted) / max(time.monotonic() - begun, 1e-9)
        note(f"{len(wanted):,} seeds, {len(bad):,} of them broke an invariant; {rate:,.0f} seeds per second")
    if bad:
        raise typer.Exit(RESPONSE_ERROR)


def _tell(seed: int) -> None:
    """The whole story of one seed to standard output, and how it ended."""
    from everyitem.testing.simulator import Simulation, SimulationFailed

    simulation = Simulation(seed, in_detail=True)
    failed = False
    try:
        simulation.run()
    except SimulationFailed:
        failed = True
    if not print_lines(line.encode() for line in simulation.story):
        return
    if failed:
        note(f"seed {seed} breaks an invariant: the last line says which")
        raise typer.Exit(RESPONSE_ERROR)
    witness = simulation.witness
    note(f"seed {seed}: all is well; {witness.calls:,} calls, {witness.repeats:,} of them repeated one")


def _live_through(seeds: Iterable[int]) -> Iterator[BadDay]:
    from everyitem.testing.simulator import Simulation, SimulationFailed

    for seed in seeds:
        try:
            Simulation(seed).run()
        except SimulationFailed as failed:
            yield BadDay(seed, failed.fault)


def _range_of(text: str) -> range:
    found = re.fullmatch(r"(\d{1,12})\.\.(\d{1,12})", text)
    if found is None or int(found[1]) > int(found[2]):
        raise UsageError(f"--seeds {text}: give the first and the last seed, as in 100..199")
    return range(int(found[1]), int(found[2]) + 1)
