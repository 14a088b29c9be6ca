"""What a person sees while a batch runs."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from everyitem.engine.breaker import BreakerView, Standing
from everyitem.engine.parallelism import Decision, Move
from everyitem.engine.progress import Snapshot
from everyitem.faces.cli.display.figures import causes, duration, percent, rate
from everyitem.faces.cli.display.lines import EVERY, PlainProgress, progress_line
from everyitem.faces.cli.display.live import Picture
from everyitem.model.status import ExecutionStatus
from everyitem.ports.node import WorkerView

SNAPSHOT = Snapshot(
    at=100.0,
    batch_id="eod",
    execution=1,
    round=1,
    status=ExecutionStatus.RUNNING,
    items=1000,
    succeeded=600,
    failed=20,
    open=380,
    in_flight=3,
    retries_waiting=7,
    retried=9,
    steals=2,
    rate_per_second=123.4,
    eta_seconds=3.08,
    parallelism=3,
    checkpoints=6,
    last_checkpoint_at=1000.0,
    workers=tuple(WorkerView(f"local-{n}", 620 + n if n else None, 99.0 - 5 * n, 200) for n in range(3)),
    failures_by_cause=(("ValueError: \x1b[2Jbad", 19), ("WorkerDied: SIGSEGV", 1)),
    elapsed=5.0,
)


def drawn(snapshot, *, width=100, height=40):
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=False)
    console.print(Picture(snapshot, epoch=1001.0))
    return console.file.getvalue().splitlines()


def test_the_picture_shows_everything_that_matters():
    """Progress, rate, ETA, a lane per worker, retries, causes, the last checkpoint and steals."""
    text = "\n".join(drawn(SNAPSHOT))
    for expected in (
        "eod  RUNNING",
        "62 %  620 of 1,000",
        "123 items/s",
        "ETA 3.1 s",
        "checkpoint 6 1.0 s ago",
        "7 waiting for a retry",
        "2 steals",
        "local-0  idle",
        "item 621  6.0 s",
        "19  ValueError: \\x1b[2Jbad",
    ):
        assert expected in text


@pytest.mark.parametrize("width", [24, 40, 60, 80, 200])
def test_the_picture_fits_any_width(width):
    """No line is wider than the terminal, and the most important figures are there at every width."""
    lines = drawn(SNAPSHOT, width=width)
    assert max(map(len, lines)) <= width
    assert any("620 of 1,000" in line for line in lines)


def test_the_picture_fits_a_low_terminal():
    """With more workers than lines some are only counted."""
    crowd = replace(SNAPSHOT, workers=tuple(WorkerView(f"w{n}", n, 99.0, 1) for n in range(100)))
    lines = drawn(crowd, height=20)
    assert len(lines) < 20
    assert any("more" in line for line in lines)


def test_what_is_paused_has_no_pace():
    """Neither in the picture nor in a line: nothing moves, whatever the rate was before."""
    paused = replace(SNAPSHOT, status=ExecutionStatus.PAUSED)
    for shown in ("\n".join(drawn(paused)), progress_line(paused)):
        assert "0.0 items/s" in shown
        assert "ETA unknown" in shown


def test_messages_that_differ_in_ids_are_one_cause():
    """One line with an example; what differs in words stays apart."""
    failures = [(f"ValueError: no rate for t-{n} in '{n}.csv'", 1) for n in range(26)]
    assert causes([*failures, ("ValueError: no date", 3)], 5) == (
        [
            ("26", "ValueError: no rate for t-0 in '0.csv' (and 25 more messages like it)"),
            ("3", "ValueError: no date"),
        ],
        0,
    )


def test_an_empty_batch_is_drawn():
    """Zero items are all done."""
    empty = replace(SNAPSHOT, items=0, succeeded=0, failed=0, open=0, workers=(), failures_by_cause=())
    assert any("100 %  0 of 0" in line for line in drawn(empty))


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def said(*steps):
    """The lines PlainProgress says when fed (seconds passed, snapshot) steps."""
    lines, clock = [], Clock()
    listen = PlainProgress(say=lines.append, clock=clock)
    for seconds, snapshot in steps:
        clock.now += seconds
        listen(snapshot)
    return lines


def test_plain_lines_are_few():
    """Nothing is said before its time, however often the engine calls."""
    assert said(*[(0.2, SNAPSHOT)] * 20) == []
    assert len(said(*[(0.2, SNAPSHOT)] * 30)) == 1


def test_a_checkpoint_is_said():
    """A new checkpoint is worth a line once a second has passed."""
    later = replace(SNAPSHOT, checkpoints=7)
    assert len(said((0.1, SNAPSHOT), (1.0, later), (0.1, later))) == 1


def test_a_change_of_state_is_said_at_once():
    """A pause is news."""
    [line] = said((0.1, SNAPSHOT), (0.1, replace(SNAPSHOT, status=ExecutionStatus.PAUSED)))
    assert "PAUSED" in line


def test_a_line_has_the_figures():
    """One line says how far, how fast, how long, and what went wrong."""
    line = progress_line(SNAPSHOT)
    for expected in ("RUNNING", "620 of 1,000", "62 %", "123 items/s", "ETA 3.1 s", "20 failed"):
        assert expected in line
    assert EVERY > 1


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0 ms"),
        (0.0123, "12 ms"),
        (9.96, "10.0 s"),
        (12.4, "12 s"),
        (185, "3 min 05 s"),
        (59.9, "1 min 00 s"),
        (14520, "4 h 02 min"),
    ],
)
def test_durations_have_two_units_at_most(seconds, text):
    """Short ones in ms and s, long ones in minutes and hours."""
    assert duration(seconds) == text


def test_percent_is_never_rounded_up_to_the_end():
    """999 of 1,000 are 99 %."""
    assert (percent(999, 1000), percent(1000, 1000), percent(0, 0)) == ("99 %", "100 %", "100 %")


def test_slow_rates_keep_a_decimal():
    """0.4 items/s is not 0."""
    assert (rate(0.44), rate(4981.3)) == ("0.4 items/s", "4,981 items/s")


def test_causes_are_the_most_frequent_first():
    """What does not fit is counted."""
    assert causes([("a", 1), ("b", 3), ("c", 2)], 2) == ([("3", "b"), ("2", "c")], 1)


def test_a_change_of_parallelism_is_shown_with_its_reason():
    """Who watches can tell why there are as many slots as there are."""
    change = Decision(at=99.0, move=Move.GROW, slots=6, reason="100% of the slots are busy")
    snapshot = replace(SNAPSHOT, parallelism=6, parallelism_changes=(change,))
    assert any("6 slots: 100% of the slots are busy" in line for line in drawn(snapshot))
    assert "6 slots" in progress_line(snapshot)
    assert "slots" not in progress_line(SNAPSHOT)


def test_an_outage_is_shown_while_it_lasts():
    """Items that are held back are no mystery."""
    view = BreakerView(Standing.OPEN, "unreachable", "ConnectionError or TimeoutError", 40.0, 1)
    snapshot = replace(SNAPSHOT, breaker=view)
    expected = "outage for 1 min 00 s: most items fail with ConnectionError or TimeoutError; probing"
    assert any(expected in line for line in drawn(snapshot))
    assert expected in progress_line(snapshot)
    assert "outage" not in progress_line(replace(SNAPSHOT, breaker=BreakerView()))
