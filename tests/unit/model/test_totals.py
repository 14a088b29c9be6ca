"""Control totals are exact, and what cannot be summed is said."""

from decimal import Decimal

import msgspec
import pytest

from everyitem.model.items import InMemoryItems
from everyitem.model.outcome import Failure, Successes
from everyitem.model.totals import Amount, Balance, ControlTotal, Gap, derive, fault_of


def items_of(*texts):
    """Items of these JSON texts."""
    return InMemoryItems(b"[" + b",".join(text.encode() for text in texts) + b"]", named=False)


def amounts(*texts):
    """Items with these amounts, each as JSON text."""
    return items_of(*(f'{{"amount":{text}}}' for text in texts))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12.50", "12.50"),
        ('"12.50"', "12.50"),
        ("-0.10", "-0.10"),
        ("1.5e3", "1500"),
        ('"+7"', "7"),
        ('" 7 "', "7"),
        ("0.1000000000000000055511151231257827", "0.1000000000000000055511151231257827"),
        ("123456789012345678901234567890.01", "123456789012345678901234567890.01"),
    ],
)
def test_an_amount_is_the_digits_as_written(text, value):
    """Numbers and numeric texts alike, and never by way of a binary float."""
    (found,) = Amount("amount").values(b'[{"amount":' + text.encode() + b"}]")
    assert found == Decimal(value)


@pytest.mark.parametrize(
    ("item", "gap"),
    [
        ("{}", Gap.MISSING),
        ("17", Gap.MISSING),
        ('{"amount":null}', Gap.NULL),
        ('{"amount":true}', Gap.NOT_NUMERIC),
        ('{"amount":"12,50"}', Gap.NOT_NUMERIC),
        ('{"amount":""}', Gap.NOT_NUMERIC),
        ('{"amount":"NaN"}', Gap.NOT_NUMERIC),
        ('{"amount":"sNaN"}', Gap.NOT_NUMERIC),
        ('{"amount":"-Infinity"}', Gap.NOT_NUMERIC),
        ('{"amount":[1]}', Gap.NOT_NUMERIC),
        ('{"amount":"1e300"}', Gap.OUT_OF_RANGE),
        ('{"amount":"1e999999999"}', Gap.OUT_OF_RANGE),
        ('{"amount":1e-301}', Gap.OUT_OF_RANGE),
    ],
)
def test_what_cannot_be_summed_is_a_gap_and_not_zero(item, gap):
    """It is counted by its reason and named, and hides no amount beside it."""
    derived = derive("amount", items_of('{"amount":"1.25"}', item), b"\x00\x00")
    assert derived.balance.input == Decimal("1.25")
    assert derived.gaps.counts == {gap: 1}
    assert derived.gaps.items == [(1, "1", gap)]


def test_only_the_first_gaps_are_named_and_all_are_counted():
    """A million items without an amount make no long response."""
    gaps = derive("amount", items_of(*["{}"] * 5000), bytes(5000)).gaps
    assert (gaps.total, len(gaps.items)) == (5000, 20)


def test_a_sum_keeps_every_digit_whatever_the_magnitudes():
    """The largest and the smallest amounts there can be, cancelled to the last digit."""
    large, small = "9" * 300, "0." + "0" * 299 + "1"
    derived = derive("amount", amounts(large, small, f"-{large}"), b"\x01\x02\x00")
    assert derived.balance.input == Decimal(small)
    assert derived.balance.adds_up


def test_a_total_follows_its_items():
    """Each sum holds exactly the items that stand there."""
    derived = derive("amount", amounts("1.10", "2.20", "3.3", "4"), b"\x01\x02\x00\x05")
    assert derived.balance.texts() == {
        "input": "10.60",
        "succeeded": "1.10",
        "failed": "2.20",
        "open": "7.30",
    }


def test_a_name_may_lead_through_objects():
    """A JSON pointer, with its two escapes; a plain name with a dot is a member with a dot."""
    text = b'[{"price":{"net/eur":1.5}},{"price":[2]},{"price.net":3}]'
    assert Amount("/price/net~1eur").values(text) == [Decimal("1.5"), Gap.MISSING, Gap.MISSING]
    assert Amount("price.net").values(text)[2] == 3


@pytest.mark.parametrize("name", ['a"b', "/a~2", "a\\b", "a\nb"])
def test_a_name_no_member_can_have_is_refused(name):
    """In words."""
    assert fault_of(name)


def test_a_segment_adds_what_its_outcomes_hold():
    """Attempts that are not final add nothing; ranges may stand in any order."""
    items = amounts("1", "2", "4", "8", "16")
    successes = [Successes([(3, 1)], 1, [1], b"[1]"), Successes([(0, 2)], 1, [1, 1], b"[1,1]")]
    failures = [
        Failure(2, 1, "ITEM_ERROR", "E", "", final=True),
        Failure(4, 1, "ITEM_ERROR", "E", ""),
    ]
    assert Amount("amount").recorded(items, successes, failures) == (11, 4)


def test_a_balance_stays_one_when_outcomes_are_recorded():
    """What succeeds or fails was open before."""
    before = Balance(input=Decimal("3.30"), open=Decimal("3.30"))
    after = before.recording(Decimal("1.10"), Decimal("2.2"))
    assert after.adds_up
    assert after.texts() == {"input": "3.30", "succeeded": "1.10", "failed": "2.20", "open": "0.00"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"failed": Decimal(1)}, "does not add up"),
        ({"succeeded": Decimal(1), "open": Decimal(2)}, "as summed again"),
    ],
)
def test_a_total_that_is_not_what_the_items_say_is_a_fault(change, said):
    """By a digit anywhere."""
    true = Balance(input=Decimal(3), open=Decimal(3))
    total = ControlTotal(msgspec.structs.replace(true, **change), derived=true)
    assert said in total.fault("amount")
    assert total.to_dict()["addsUp"] is False
    assert ControlTotal(true, derived=true).fault("amount") is None


def test_a_total_that_could_not_be_proved_is_a_fault():
    """Where the store could not be read again."""
    assert "could not be summed again" in ControlTotal(Balance()).fault("amount")
