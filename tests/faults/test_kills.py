"""F1: the executor is killed at any moment, again and again; nothing recorded is lost or done twice."""

from pathlib import Path

import pytest
from tests.faults.rigs.crash import CrashRig, processes_of


@pytest.mark.parametrize("kind", ["thread", "process"])
def test_a_batch_survives_random_kills(tmp_path: Path, kind: str) -> None:
    """Fifteen kills at random moments: the results are those of an undisturbed run."""
    survive(tmp_path, kind, items=3000, kills=15)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["thread", "process"])
def test_a_batch_of_ten_thousand_survives_a_hundred_kills(tmp_path: Path, kind: str) -> None:
    """F1 as promised: 100 kills on 10,000 items, on thread and on process nodes."""
    survive(tmp_path, kind, items=10_000, kills=100)


def survive(folder: Path, kind: str, *, items: int, kills: int) -> None:
    """Kill until it has been killed so often or is done, then finish and check everything."""
    rig = CrashRig(folder / "rig", items=items, kind=kind, seed=items + kills)
    while rig.kills < kills and rig.kill_once():
        pass
    assert rig.kills >= kills // 2, "the batch was done before it had been killed enough to prove anything"
    rig.check_end(rig.finish())
    assert not processes_of(rig.ledger()), "a worker outlived its coordinator"
