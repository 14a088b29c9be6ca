"""F5 and F7 in full: hundreds of deaths and hangs, by `make faults`."""

import json
import random
from collections.abc import Callable

import pytest

from everyitem.ports.node import HolderLost

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

KINDS = ["fine", "segfault", "exit", "kill"]
DEADLY = """
import ctypes, os, signal
@item_processor("p")
def p(item, context):
    if item[1] == "segfault":
        ctypes.string_at(0)
    elif item[1] == "exit":
        os._exit(3)
    elif item[1] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    return item[0]
"""


def test_300_deaths_among_10000_items_harm_no_other_item(start: Callable) -> None:
    """F5: each deadly item is charged once per attempt, all 9,700 others succeed at their first."""
    rng = random.Random(5)
    deadly = set(rng.sample(range(10_000), 300))
    items = [json.dumps([n, rng.choice(KINDS[1:]) if n in deadly else "fine"]) for n in range(10_000)]
    driver = start(DEADLY, items, slots=2, size=100).run(10_000)
    assert {failure.index for failure in driver.failures} == deadly
    assert len(driver.failures) == len(driver.of(HolderLost)) == 300
    assert {failure.type for failure in driver.failures} == {"WorkerDied"}
    assert driver.results == {n: str(n).encode() for n in range(10_000) if n not in deadly}


def test_20_poison_items_among_1000_take_80_workers(start: Callable) -> None:
    """F8: exactly 4 attempts each with 3 retries; 980 succeed."""
    poison = set(random.Random(8).sample(range(1000), 20))
    items = [json.dumps([n, "exit" if n in poison else "fine"]) for n in range(1000)]
    driver = start(DEADLY, items, slots=2, size=50, attempts=4).run(1000)
    attempts = sorted((failure.index, failure.attempt) for failure in driver.failures)
    assert attempts == [(n, attempt) for n in sorted(poison) for attempt in (1, 2, 3, 4)]
    assert len(driver.of(HolderLost)) == 80
    assert len(driver.results) == 980


def test_100_hangs_of_3_kinds_are_all_killed_in_time(start: Callable) -> None:
    """F7: each is charged as ItemTimeout within its timeout + 2 s (three times that is asserted)."""
    code = """
    import re, signal, time
    @item_processor("p")
    def p(item, context):
        if item == 1:
            time.sleep(600)
        elif item == 2:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(600)
        elif item == 3:
            re.match(r"(a+)+$", "a" * 64 + "b")
        return item
    """
    items = [str(n % 4) for n in range(133)]
    driver = start(code, items, slots=2, item_timeout=0.2, size=4).run(133)
    hangs = {n for n in range(133) if n % 4}
    assert {failure.index for failure in driver.failures} == hangs
    assert {failure.type for failure in driver.failures} == {"ItemTimeout"}
    assert max(failure.duration_us for failure in driver.failures) < (0.2 + 3 * 2) * 1e6
    assert set(driver.results) == set(range(133)) - hangs
