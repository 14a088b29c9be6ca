"""`everyitem simulate`: which day is played, and what is said of it."""

import json

from typer.testing import CliRunner

from everyitem.faces.cli.app import build_app


def simulate(*arguments):
    return CliRunner().invoke(build_app(loaded=frozenset({"simulate"})), ["simulate", *arguments])


def test_a_fleet_is_reported_as_json():
    """Makespan, steals, what scheduling costs and where it saturates; all items have an outcome."""
    found = json.loads(simulate("--nodes", "10", "--items", "20000", "--lose", "2").stdout)
    assert found["itemsSuccessful"] == found["items"] == 20_000
    assert found["nodesLost"] == 2
    assert found["makespanSeconds"] > found["idealSeconds"] > 0
    assert found["steals"] > 0
    assert found["microsecondsPerItem"] > 0
    assert found["saturatesAtNodes"] > 10


def test_bad_days_and_a_fleet_are_two_things():
    """Seeds to run and nodes to play with cannot both be meant."""
    refused = simulate("--nodes", "10", "--seeds", "1..2")
    assert refused.exit_code != 0


def test_bad_days_are_counted():
    """Without nodes it is the simulator's bad days."""
    assert json.loads(simulate("--count", "3").stdout) == {"seeds": 3, "sound": True, "bad": []}
