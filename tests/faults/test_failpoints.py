"""F2: the process dies at each named failpoint; whoever starts again finds all of it or nothing."""

import signal
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.faults.rigs.crash import CrashRig

from everyitem.failpoints import VARIABLE, Failpoint, parse

#: How often each failpoint strikes in the long form.
STRIKES = 20


@dataclass(frozen=True)
class Scenario:
    """How a failpoint is reached."""

    #: Brings the rig to the point, struck at the given passing; whether the batch came that far.
    strike: Callable[[CrashRig, Failpoint, int], bool]
    kind: str = "thread"
    items: int = 120
    #: Seconds an item takes.
    seconds: float = 0.002
    padding: int = 0
    #: The batch passes the point at least so often.
    passings: int = 1


def in_a_run(rig: CrashRig, point: Failpoint, passings: int) -> bool:
    """While the batch runs for the first time."""
    return rig.strike(point, passings)


def in_a_second_run(rig: CrashRig, point: Failpoint, passings: int) -> bool:
    """While a batch that was killed goes on."""
    assert rig.strike(Failpoint.COMMIT_COMMITTED, 4)
    return rig.strike(point, passings)


def in_a_cancellation(rig: CrashRig, point: Failpoint, passings: int) -> bool:
    """In the process that asks a running batch to end."""
    with rig.holding():
        running = rig.start()
        rig.wait_for_calls(running, 1)
        struck = rig.strike(point, passings, "cancel", "killed")
        rig.wait_until_heard()
    # it finishes if there was nothing to be heard of, and is cancelled if there was
    assert running.wait(timeout=60) == (1 if point is Failpoint.REQUEST_COMMITTED else 0), rig.errors()
    return struck


def in_the_cancelled_one(rig: CrashRig, point: Failpoint, passings: int) -> bool:
    """In the process that is asked to end."""
    struck = rig.folder / "struck"
    with rig.holding():
        running = rig.start(failpoint=f"{point.label}:{passings}:{struck}")
        rig.wait_for_calls(running, 1)
        rig.start("cancel", "killed").wait(timeout=60)
        assert running.wait(timeout=60) == -signal.SIGKILL
    return struck.exists()


def in_a_long_run(rig: CrashRig, point: Failpoint, passings: int) -> bool:
    """While its items wait: what is passed now and then, is passed."""
    with rig.holding():
        return rig.strike(point, passings)


def in_a_redrive(rig: CrashRig, point: Failpoint, passings: int) -> bool:
    """While the failed items of a finished batch are opened again."""
    rig.finish()
    rig.recorded -= {number for number in range(rig.items) if number % 97 == 5}
    return rig.strike(point, passings, "redrive", "killed")


def over_damage(rig: CrashRig, point: Failpoint, passings: int) -> bool:
    """While a damaged segment is given up."""
    rig.finish()
    database = sqlite3.connect(rig.folder / "store.sqlite")
    database.execute("UPDATE segments SET body = zeroblob(9) WHERE sequence = 3")
    database.commit()
    database.close()
    rig.recorded.clear()
    rig.damage = lambda fault: None
    struck = rig.strike(point, passings, "resume", "killed", "--accept-damage")
    # either is right: it dies before it has given the segment up, or after
    rig.finish("resume", "killed", "--accept-damage")
    rig.damage = None
    return struck


RUN = Scenario(in_a_run)
OFTEN = Scenario(in_a_run, passings=6)
WORKER = Scenario(in_a_run, kind="process", passings=4)
REDRIVE = Scenario(in_a_redrive)
#: Long enough for the slots to hear of a request the owner has heard of.
CANCELLING = Scenario(in_a_cancellation, items=200, seconds=0.03)
CANCELLED = Scenario(in_the_cancelled_one)
DAMAGE = Scenario(over_damage)
#: 12 MB that cannot be packed: more than the write-ahead log may hold.
BULKY = Scenario(in_a_run, items=120, padding=100_000)
#: More than fits into the ring of a worker (1 MB) at once, and results that fit into none.
CROWDED = Scenario(in_a_run, kind="process", items=40, padding=300_000)
HUGE = Scenario(in_a_run, kind="process", items=12, padding=600_000)

SCENARIOS = {
    Failpoint.STORE_FILE_MADE: RUN,
    Failpoint.MIGRATION_BEGUN: RUN,
    Failpoint.MIGRATION_STATEMENT_RUN: Scenario(in_a_run, passings=14),
    Failpoint.MIGRATION_COMMITTED: RUN,
    Failpoint.CREATE_PACKED: RUN,
    Failpoint.CREATE_EXECUTION_INSERTED: RUN,
    Failpoint.CREATE_CHUNKS_INSERTED: RUN,
    Failpoint.CREATE_COMMITTED: RUN,
    Failpoint.CLAIM_WRITTEN: Scenario(in_a_second_run),
    Failpoint.CLAIM_COMMITTED: Scenario(in_a_second_run),
    Failpoint.RENEW_COMMITTED: Scenario(in_a_long_run),
    Failpoint.CONTROLS_TAKEN: CANCELLED,
    Failpoint.CONTROLS_COMMITTED: CANCELLED,
    Failpoint.RELEASE_WRITTEN: RUN,
    Failpoint.RELEASE_COMMITTED: RUN,
    Failpoint.COMMIT_SEALED: OFTEN,
    Failpoint.COMMIT_PROVED: OFTEN,
    Failpoint.COMMIT_SEGMENTS_INSERTED: OFTEN,
    Failpoint.COMMIT_RETRIES_CHANGED: OFTEN,
    Failpoint.COMMIT_FAILURES_INSERTED: OFTEN,
    Failpoint.COMMIT_EVENTS_INSERTED: OFTEN,
    Failpoint.COMMIT_COMPLETE: OFTEN,
    Failpoint.COMMIT_COMMITTED: OFTEN,
    Failpoint.COMMIT_CONFIRMED: Scenario(in_a_run, passings=4),
    Failpoint.WAL_BEFORE_MOVE: BULKY,
    Failpoint.WAL_MOVED: BULKY,
    Failpoint.WAL_BEFORE_CLOSE: RUN,
    Failpoint.WAL_CLOSED: RUN,
    Failpoint.ANSWER_DERIVED: RUN,
    Failpoint.ANSWER_INSERTED: RUN,
    Failpoint.ANSWER_COMMITTED: RUN,
    Failpoint.OUTPUT_WRITTEN: Scenario(in_a_run, passings=2),
    Failpoint.OUTPUT_NAMED: Scenario(in_a_run, passings=2),
    Failpoint.OUTPUT_RENAMED: Scenario(in_a_run, passings=2),
    Failpoint.REQUEST_INSERTED: CANCELLING,
    Failpoint.REQUEST_COMMITTED: CANCELLING,
    Failpoint.ROUND_REOPENED: REDRIVE,
    Failpoint.ROUND_INSERTED: REDRIVE,
    Failpoint.ROUND_COMMITTED: REDRIVE,
    Failpoint.DAMAGE_MARKED: DAMAGE,
    Failpoint.DAMAGE_DISCARDED: DAMAGE,
    Failpoint.ITEMS_CLAIMED: OFTEN,
    Failpoint.ITEMS_WORKED: OFTEN,
    Failpoint.OUTCOMES_TAKEN: WORKER,
    Failpoint.WORKER_SPAWNED: Scenario(in_a_run, kind="process", passings=2),
    Failpoint.WORKER_READY: Scenario(in_a_run, kind="process"),
    Failpoint.SLICE_RECEIVED: Scenario(in_a_run, kind="process", passings=2),
    Failpoint.RING_FULL: CROWDED,
    Failpoint.LARGE_OUTCOME_SENT: HUGE,
    Failpoint.SLICE_WORKED: Scenario(in_a_run, kind="process", passings=2),
}


def test_every_failpoint_has_a_scenario_and_a_line_in_the_documentation(root: Path) -> None:
    """The list of points, the tests and the page agree."""
    assert SCENARIOS.keys() == set(Failpoint)
    rows = [line for line in (root / "docs/failpoints.md").read_text().splitlines() if line.startswith("| `")]
    assert rows == [f"| `{point.label}` | {point.value} |" for point in Failpoint]


@pytest.mark.parametrize("text", ["no-such-point:1", "commit-proved", "commit-proved:0", "commit-proved:x"])
def test_a_failpoint_that_cannot_be_is_refused(text: str) -> None:
    """A misspelt point would make a test that proves nothing."""
    with pytest.raises(ValueError, match=VARIABLE):
        parse(text)


@pytest.mark.parametrize("point", Failpoint, ids=lambda point: point.label)
def test_killed_at_a_failpoint_the_next_start_ends_as_if_nothing_had_happened(
    tmp_path: Path, point: Failpoint
) -> None:
    """Each point is reached, the process dies there, and every invariant holds afterwards."""
    survive(tmp_path / "rig", point, passings=1)


@pytest.mark.long
@pytest.mark.parametrize("point", Failpoint, ids=lambda point: point.label)
def test_twenty_kills_at_a_failpoint_do_no_harm(tmp_path: Path, point: Failpoint) -> None:
    """F2 as promised: 20 strikes at each point, at different passings where there are several."""
    for strike in range(STRIKES):
        survive(tmp_path / str(strike), point, passings=1 + strike % SCENARIOS[point].passings)


def survive(folder: Path, point: Failpoint, *, passings: int) -> None:
    """Strike once, look, finish, and check everything."""
    scenario = SCENARIOS[point]
    rig = CrashRig(
        folder,
        items=scenario.items,
        kind=scenario.kind,
        slots=2,
        seconds=scenario.seconds,
        interval=10,
        padding=scenario.padding,
    )
    assert scenario.strike(rig, point, passings), f"{point.label} was not reached {passings} times"
    rig.verify()
    response = rig.finish()
    rig.check_end(response)
    rig.check_files(response)
