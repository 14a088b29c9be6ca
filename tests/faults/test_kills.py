"""F1: the executor is killed at any moment, again and again; nothing recorded is lost or done twice."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.faults.rigs.crash import CrashRig, processes_of
from tests.services.postgres import PostgresServer


@pytest.mark.parametrize("kind", ["thread", "process"])
def test_a_batch_survives_random_kills(tmp_path: Path, kind: str) -> None:
    """Fifteen kills at random moments: the results are those of an undisturbed run."""
    survive(tmp_path, kind, items=3000, kills=15)


@pytest.mark.service
def test_a_batch_on_postgres_survives_random_kills(
    tmp_path: Path, postgres: PostgresServer, store_name: str
) -> None:
    """The same with its record on a server, which knows the killed ones' connections for a moment longer."""
    survive(tmp_path, "thread", items=2000, kills=10, store=f"{postgres.url}?schema={store_name}")


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", ["thread", "process"])
def test_batches_of_ten_thousand_survive_five_hundred_kills(
    tmp_path: Path, new_store: Callable[[], str], kind: str
) -> None:
    """F1 as promised: on each kind of store 500 kills with thread and 500 with process nodes."""
    for number in range(5):
        survive(tmp_path / str(number), kind, items=10_000, kills=100, seed=number, store=new_store())


def survive(folder: Path, kind: str, *, items: int, kills: int, seed: int = 0, store: str = "") -> None:
    """Kill until it has been killed so often or is done, then finish and check everything."""
    rig = CrashRig(folder / "rig", items=items, kind=kind, seed=items + kills + seed, store=store)
    while rig.kills < kills and rig.kill_once():
        pass
    assert rig.kills >= kills // 2, "the batch was done before it had been killed enough to prove anything"
    rig.check_end(rig.finish())
    assert not processes_of(rig.ledger()), "a worker outlived its coordinator"
