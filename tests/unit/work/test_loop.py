"""One slot over a window: where it stops, what it charges, what it hands over."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everyitem.model.errors import PermanentItemError
from everyitem.work.assignment import Assignment, OriginKind, ProcessorOrigin
from everyitem.work.context import BatchView
from everyitem.work.loop import Slot
from everyitem.work.outcomes import StretchOutcomes, keep, ranges_of
from everyitem.work.processors import ItemProcessor
from everyitem.work.stretch import Stretch
from everyitem.work.window import CANCELLED, END, HEARTBEAT, SINCE, STARTED, new_window

ORIGIN = ProcessorOrigin(OriginKind.LOCAL, "test")


class Bench:
    """A slot, a stretch of items with scattered indices, and everything around them."""

    def __init__(self, function, items, *, first=0, chunk_size=None, is_async=False, text=None):
        processor = ItemProcessor(
            name="p",
            function=function,
            is_async=is_async,
            origin=ORIGIN,
            qualname="p",
            source="test",
            chunk_size=chunk_size,
        )
        assignment = Assignment(batch_id="b", key_prefix="b@2", processor="p", origin=ORIGIN, max_attempts=2)
        self.slot = Slot(processor, BatchView(assignment))
        self.indices = [10 * n for n in range(len(items))]
        self.stretch = Stretch(text or msgspec.json.encode(list(items)), self.indices, first=first, attempt=1)
        self.window = new_window(first, first + len(items))
        self.outcomes = StretchOutcomes()

    def work(self, **options):
        return self.slot.work(self.stretch, self.window, self.outcomes, **options)

    def by_index(self):
        """Index -> result, or the type of the failure."""
        block = self.outcomes.block()
        found = {failure.index: failure.type for failure in block.failures}
        for run in block.successes:
            texts = map(msgspec.json.decode, run.result_texts())
            found |= dict(zip(run.indices(), texts, strict=True))
        return found


def test_the_window_is_kept_up_to_date():
    """STARTED and SINCE say which item runs since when; positions begin where the stretch does."""
    seen = []
    bench = Bench(
        lambda item, context: seen.append((bench.window[STARTED], bench.window[SINCE] > 0)), "abc", first=5
    )
    assert bench.work() == 8
    assert seen == [(5, True), (6, True), (7, True)]


def test_nothing_starts_at_or_behind_the_end():
    """Lowering END during an item stops the slot before the next one."""

    def lower(item, context):
        bench.window[END] = 2
        return item

    bench = Bench(lower, "abcd")
    assert bench.work() == 2
    assert bench.by_index() == {0: "a", 10: "b"}


def test_the_time_budget_stops_after_the_item_at_hand():
    """`stop_at` in the past: one item, not none."""
    bench = Bench(lambda item, context: item, "abcd")
    assert bench.work(stop_at=0) == 1


@given(
    st.lists(st.sampled_from(["ok", "raise", "nan"]), max_size=30),
    st.booleans(),
)
def test_every_started_item_has_exactly_one_outcome(plan, is_async):
    """Successes, exceptions and unusable results in any order end up under the right index."""

    def plain(item, context):
        assert context.index == item * 10
        assert context.idempotency_key == f"b@2/{item * 10}"
        if plan[item] == "raise":
            raise ValueError(item)
        return float("nan") if plan[item] == "nan" else item

    async def coroutine(item, context):
        return plain(item, context)

    bench = Bench(coroutine if is_async else plain, list(range(len(plan))), is_async=is_async)
    assert bench.work() == len(plan)
    bench.slot.close()
    names = {"raise": "ValueError", "nan": "UnusableResult"}
    assert bench.by_index() == {10 * n: names.get(what, n) for n, what in enumerate(plan)}


def test_a_result_is_recorded_as_it_was_when_returned():
    """A function that returns the same object every time, changed, does not change what was recorded."""
    state = {"count": 0, "rows": []}

    def work(item, context):
        state["count"] += 1
        state["rows"].append(item)
        return state

    bench = Bench(work, list("abc"))
    bench.work()
    found = bench.by_index()
    assert [found[index]["count"] for index in (0, 10, 20)] == [1, 2, 3]
    assert found[0]["rows"] == ["a"]


def test_a_result_changed_later_is_judged_as_it_was():
    """What becomes unusable after it was returned was usable; what was unusable is refused."""
    state = {"rows": []}

    def work(item, context):
        if item == "set":
            return {"rows": {1}}
        if state["rows"]:
            state["rows"].append({item})
        state["rows"].append(1)
        return state if item == "a" else item

    bench = Bench(work, ["a", "b", "set"])
    bench.work()
    assert bench.by_index() == {0: {"rows": [1]}, 10: "b", 20: "UnusableResult"}


def test_durations_belong_to_their_items():
    """Each item's time is the distance of its stamps, failures in between included."""
    outcomes = StretchOutcomes()
    bench = Bench(lambda item, context: item, "abc")
    outcomes.begin(bench.stretch, 0)
    keep(outcomes, "a")
    outcomes.stamp(5_000)
    outcomes.failed(1, msgspec.structs.replace(_failure(), index=10), 105_000)
    keep(outcomes, "c")
    outcomes.stamp(112_000)
    [run] = outcomes.block().successes
    assert (run.indices(), run.durations_us) == ([0, 20], [5, 7])


def _failure():
    bench = Bench(lambda item, context: 1 / 0, "a")
    bench.work()
    return bench.outcomes.block().failures[0]


def test_a_block_taken_early_leaves_out_the_item_that_just_ended():
    """The watcher takes what has a stamp: a result without one is dropped, not counted twice."""
    outcomes = StretchOutcomes()
    outcomes.begin(Bench(lambda item, context: item, "ab").stretch, 0)
    keep(outcomes, "a")
    outcomes.stamp(1_000)
    keep(outcomes, "b")
    assert len(outcomes.block()) == 1


def test_an_item_that_cannot_be_decoded_fails_alone():
    """Damaged text of one item fails that item, not the stretch."""
    bench = Bench(lambda item, context: item, "abc", text=b'["a",{"x":"\xff"},"c"]')
    assert bench.work() == 3
    # the former before msgspec 0.22
    assert bench.by_index() in [
        {0: "a", 10: error, 20: "c"} for error in ("UnicodeDecodeError", "DecodeError")
    ]


def test_until_failure_stops_at_the_first_failure_without_retry():
    """A permanent failure ends the stretch, one with attempts left does not."""

    def work(item, context):
        if item == "permanent":
            raise PermanentItemError
        raise ValueError

    bench = Bench(work, ["again", "permanent", "again"])
    assert bench.work(until_failure=True) == 2


def test_heartbeat_and_cancellation_go_through_the_window():
    """`heartbeat()` writes its time, `cancelled` reads the watcher's word."""

    def work(item, context):
        bench.window[CANCELLED] = int(item == "b")
        context.heartbeat()
        return context.cancelled

    bench = Bench(work, "ab")
    bench.work()
    assert bench.by_index() == {0: False, 10: True}
    assert bench.window[HEARTBEAT] >= bench.window[SINCE] - 10_000_000_000 > 0


@given(
    st.lists(st.sampled_from(["ok", "returned", "single", "short"]), max_size=24),
    st.integers(1, 6),
)
def test_chunks_account_for_every_item(plan, size):
    """Whatever goes wrong with a chunk, each of its items ends with the outcome it has when run singly."""

    def work(items, context):
        assert [one.index for one in context.items] == [item * 10 for item in items]
        kinds = {plan[item] for item in items}
        if "single" in kinds:
            raise ValueError
        if "short" in kinds and len(items) > 1:
            return []
        return [KeyError(item) if plan[item] == "returned" else item for item in items]

    bench = Bench(work, list(range(len(plan))), chunk_size=size)
    assert bench.work() == len(plan)
    names = {"returned": "KeyError", "single": "ValueError"}
    assert bench.by_index() == {10 * n: names.get(what, n) for n, what in enumerate(plan)}


def test_a_chunk_never_reaches_behind_the_end():
    """END in the middle of a chunk makes it smaller."""
    sizes = []

    def work(items, context):
        sizes.append(len(items))
        return items

    bench = Bench(work, "abcdefg", chunk_size=4)
    bench.window[END] = 6
    assert bench.work() == 6
    assert sizes == [4, 2]


@given(st.lists(st.integers(0, 30), unique=True))
def test_ranges_hold_the_same_indices_in_the_same_order(indices):
    """`ranges_of` loses, adds and reorders nothing."""
    assert [n for first, count in ranges_of(indices) for n in range(first, first + count)] == indices


@pytest.mark.parametrize("indices", [range(3, 7), range(0)])
def test_ranges_of_a_range_is_one_or_none(indices):
    """The common case costs nothing."""
    assert ranges_of(indices) == ([(3, 4)] if indices else [])


def test_one_long_item_among_many_says_nothing_about_the_others():
    """A thread kept from running for 5 ms has not met a slow item; few items are taken as they are."""
    many, few = StretchOutcomes(), StretchOutcomes()
    for outcomes, count in ((many, 20), (few, 3)):
        outcomes.begin(Bench(lambda item, context: item, range(count)).stretch, 0)
        now = 0
        for number in range(count):
            now += 5_000_000 if number == 2 else 1_000
            keep(outcomes, number)
            outcomes.stamp(now)
    assert many.took() == 19_000
    assert few.took() == 5_002_000
