"""The example's data, documents and item processor are what its README says."""

import json
import runpy
from decimal import Decimal
from types import SimpleNamespace

import pytest


@pytest.fixture(scope="module")
def make_batch(root):
    return SimpleNamespace(**runpy.run_path(str(root / "examples/ecb-rates/make_batch.py")))


@pytest.fixture(scope="module")
def fixings(make_batch):
    return list(make_batch.read_fixings())


@pytest.fixture(scope="module")
def processors(root):
    return SimpleNamespace(**runpy.run_path(str(root / "examples/ecb-rates/processors.py")))


def process(processors, item, **parameters):
    parameters = {"lookupMs": 0, "outlierPercent": "3", **parameters}
    return processors.check_fixing(item, SimpleNamespace(parameters=parameters))


def test_the_data_has_the_stated_size(fixings):
    """292,166 fixings of 41 currencies since 1999, of which 70,464 are N/A."""
    assert len(fixings) == 292_166
    assert len({fixing["currency"] for fixing in fixings}) == 41
    assert fixings[0]["date"] == "1999-01-04"
    assert fixings[-1]["date"] == "2026-10-30"
    assert sum(fixing["rate"] == "N/A" for fixing in fixings) == 70_464


def test_every_fixing_has_an_id_of_its_own(fixings):
    """Currency and day name a fixing."""
    assert len({fixing["itemId"] for fixing in fixings}) == len(fixings)


def test_rates_keep_every_digit(fixings):
    """A rate is the string the bank published, and its predecessor is the one of the day before."""
    by_id = {fixing["itemId"]: fixing for fixing in fixings}
    assert by_id["USD-2026-10-30"] == {
        "itemId": "USD-2026-10-30",
        "currency": "USD",
        "date": "2026-10-30",
        "rate": "1.1172",
        "previousDate": "2026-10-29",
        "previousRate": "1.113",
    }
    assert by_id["ISK-2026-10-30"]["rate"] == "136"
    assert by_id["USD-1999-01-04"]["previousRate"] is None


def test_the_main_document_holds_the_latest_fixings(make_batch, fixings):
    """100,000 items on ten threads with a look-up of 2 ms, 24,537 of them without a rate."""
    document = make_batch.document("latest", fixings)
    items = document["batchItems"]
    assert len(items) == 100_000
    assert items[0]["itemId"] == "ZAR-2017-04-20"
    assert items[-1]["itemId"] == "ZAR-2026-10-30"
    assert sum(item["rate"] == "N/A" for item in items) == 24_537
    assert document["processingConfiguration"]["parameters"]["lookupMs"] == 2
    assert document["parallelismLevel"] == document["allocatedResources"]["nodes"][0]["slots"] == 10


def test_the_large_document_holds_all_fixings(make_batch, fixings, tmp_path):
    """All of them, without the look-up, on process nodes; it is written whole or not at all."""
    document = json.loads(make_batch.write("all", tmp_path).read_text(encoding="utf-8"))
    assert len(document["batchItems"]) == 292_166
    assert document["processingConfiguration"]["parameters"]["lookupMs"] == 0
    assert document["allocatedResources"]["nodes"][0]["kind"] == "process"
    assert [path.name for path in tmp_path.iterdir()] == ["all.json"]


def test_the_change_is_given_in_percent(processors, fixings):
    """(1.1172 / 1.113 - 1) * 100, rounded to four decimals."""
    item = next(fixing for fixing in fixings if fixing["itemId"] == "USD-2026-10-30")
    assert process(processors, item) == {
        "currency": "USD",
        "date": "2026-10-30",
        "changePercent": "0.3774",
        "outlier": False,
    }


def test_a_change_of_the_threshold_is_an_outlier(processors, fixings):
    """`outlierPercent` is a parameter of the batch."""
    item = next(fixing for fixing in fixings if fixing["itemId"] == "TRL-2001-02-22")
    result = process(processors, item)
    assert Decimal(result["changePercent"]) > 30
    assert result["outlier"]
    assert not process(processors, item, outlierPercent="99")["outlier"]


@pytest.mark.parametrize("rate", ["N/A", "", "abc", "-1.2", "0", "NaN", "Infinity"])
def test_what_is_no_rate_fails_for_good(processors, fixings, rate):
    """Trying again will not make a rate of it."""
    from everyitem import PermanentItemError

    with pytest.raises(PermanentItemError):
        process(processors, {**fixings[-1], "rate": rate})


@pytest.mark.parametrize("previous", [None, "N/A"])
def test_a_fixing_without_predecessor_has_no_change(processors, fixings, previous):
    """The first day, and the first day after a gap."""
    result = process(processors, {**fixings[-1], "previousRate": previous})
    assert result["changePercent"] is None
    assert not result["outlier"]
