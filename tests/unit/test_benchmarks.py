"""The arithmetic and the page of the benchmarks; what they measure is measured by `make bench`."""

import pytest

from benchmarks import report
from benchmarks.cases.skewed import FAST, SLOW, skewed_items
from benchmarks.cases.tuned import Course
from benchmarks.measure import Figure, interleaved
from benchmarks.soak.run import AWAY, KILLED
from benchmarks.soak.timeline import Strike, gaps, lost
from benchmarks.workloads import workloads


def figure(**changes):
    return Figure(**{"case": "c", "what": "w", "unit": "×", "values": [1.0, 3.0, 2.0], **changes})


def test_pairs_are_interleaved_and_the_first_does_not_count():
    """Ours and the comparator alternate, and so does who goes first."""
    calls = []
    pairs = interleaved(lambda: calls.append("ours"), lambda: calls.append("bare"), pairs=2)
    assert len(pairs) == 2
    assert calls == ["ours", "bare", "bare", "ours", "ours", "bare"]


@pytest.mark.parametrize(
    ("goal", "reached"),
    [
        ({}, None),
        ({"at_most": 2.0}, True),
        ({"at_most": 1.9}, False),
        ({"at_least": 2.0}, True),
        ({"at_least": 2.1}, False),
    ],
)
def test_a_goal_is_kept_by_the_median(goal, reached):
    """Neither the best nor the worst pair decides."""
    assert figure(**goal).reached is reached


def test_the_interval_holds_the_median_and_stays_within_the_values():
    """The bootstrap draws from what was measured, the same way every time."""
    one = figure(values=[1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 9.0])
    low, high = one.interval()
    assert 1.0 <= low <= one.median <= high <= 9.0
    assert one.interval() == (low, high)


def test_the_level_is_reached_where_a_tenth_of_the_items_comes_at_its_rate():
    """A hundred items at one a second, the others at two."""
    course = Course([int(1e9 * (n if n < 100 else 100 + (n - 100) / 2)) for n in range(1000)])
    assert course.late == pytest.approx(2.0)
    assert course.reached_after(2.0) == pytest.approx(0.1)
    # a tenth from item 95 on takes 5 s and 47.5
    assert course.reached_after(1.9) == pytest.approx(0.095)
    assert course.reached_after(2.1) == 1.0


@pytest.mark.parametrize("place", ["start", "middle", "end"])
def test_the_slow_items_are_one_block(place):
    """The slowest 1 % stand together where the case says."""
    seconds = [item["seconds"] for item in skewed_items(1000, place)]
    first = {"start": 0, "middle": 495, "end": 990}[place]
    assert seconds == [FAST] * first + [SLOW] * 10 + [FAST] * (990 - first)


def test_a_run_replaces_the_generated_part_of_the_page_only(tmp_path):
    """What people wrote around the figures stays, however often they are measured."""
    page = tmp_path / "benchmarks.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n", encoding="utf-8")
    for _ in range(2):
        report.write([figure(at_most=2.0)], "python -m benchmarks", page)
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert text.count("| c | w | **2.000 ×** | 1.000 … 3.000 |") == 1
    assert "Command: `python -m benchmarks`" in text


def test_time_is_lost_where_no_item_ends_for_more_than_a_second():
    """What struck in a gap is its cause; a gap nothing struck in has none."""
    strikes = [Strike("worker killed", 2.0, 2.0), Strike(KILLED, 9.5, 9.5), Strike(AWAY, 20.0, 24.0)]
    still = [(10, 13), (22, 24), (35, 38)]
    ends = [
        at for at in (number / 2 for number in range(81)) if not any(one < at < two for one, two in still)
    ]
    found = gaps(ends, strikes, began=0.0, ended=40.0)
    assert [(gap.began, gap.ended, gap.cause) for gap in found] == [
        (10.0, 13.0, KILLED),
        (22.0, 24.0, AWAY),
        (35.0, 38.0, ""),
    ]
    assert lost(found, "") == 3.0
    assert lost(found, KILLED, AWAY) == 5.0


def test_a_run_that_stops_before_its_end_has_lost_the_rest():
    """The last gap lasts until the run has ended."""
    assert lost(gaps([0.5, 1.0], [], began=0.0, ended=9.0), "") == 8.0


def test_every_workload_makes_batches_of_the_size_it_is_asked_for():
    """Items are taken in turn, however few there are."""
    for workload in workloads():
        items = workload.batch_items(len(workload.items) + 1)
        assert items == [*workload.items, workload.items[0]]
        assert workload.most >= workload.share
