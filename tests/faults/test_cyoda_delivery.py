"""F20: members that are killed while they deliver; every result arrives once, and no item runs twice."""

import random
import threading
from collections import Counter

import pytest
from tests.acceptance.conftest import workspace
from tests.faults.rigs.cyoda_delivery import (
    POSITIONS,
    RESULTS,
    TO_ENTITIES,
    TO_TRANSITIONS,
    entity,
    of_positions,
    platform,
    rest,
    start,
)
from tests.faults.rigs.cyoda_platform import PATIENCE, DispatchFailed
from tests.faults.rigs.cyoda_rest import Model

__all__ = ["platform", "rest", "start", "workspace"]

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]

ITEMS = 2_000
KILLS = 20


class Countdown:
    """Says when so many more calls that change something have come, before they are carried out."""

    def __init__(self, rest):
        self.over, self._left = threading.Event(), None
        rest.before = self._count

    def begin(self, calls):
        self.over.clear()
        self._left = calls

    def _count(self, method, path):
        if method != "GET" and "search" not in path and self._left is not None:
            self._left -= 1
            if self._left <= 0:
                self.over.set()


@pytest.mark.parametrize("results", ["entities", "entities-without-keys", "transitions"])
def test_every_result_arrives_once_however_often_the_member_is_killed(
    workspace, platform, rest, start, results
):
    """Killed at random moments of the delivery; also where the platform keeps no unique keys."""
    chance = random.Random(20261130)
    countdown = Countdown(rest)
    if results == "transitions":
        # the transition leads back to the state it begins at
        rest.models[POSITIONS] = Model(transitions={"open": {"finish": "open"}})
        for number in range(ITEMS):
            rest.create(POSITIONS, {"n": number}, "open")
        body, said, calls = of_positions(workspace), TO_TRANSITIONS, ITEMS
    else:
        if results == "entities-without-keys":
            rest.models[RESULTS].keys = ()
        body = entity(workspace, [{"n": number} for number in range(ITEMS)])
        said, calls = TO_ENTITIES, ITEMS // 100
    entity_id = platform.create(body)
    for _ in range(KILLS):
        running = start(said)
        countdown.begin(chance.randint(1, max(2, calls // 10)))
        asked = platform.executing(entity_id)
        while not (countdown.over.wait(0.05) or asked.done()):
            pass
        if asked.done():
            break
        running.process.kill()
        with pytest.raises(DispatchFailed, match="DISCONNECTED"):
            asked.result(PATIENCE)
    start(said)
    assert platform.execute(entity_id) == "completed"
    told = platform.body(entity_id)["executionMetadata"]["resultsDelivered"]
    assert (told["written"] + told["writtenBefore"], told["refused"]) == (ITEMS, 0)
    assert set(Counter(workspace.calls()).values()) == {1}
    if results == "transitions":
        assert {one.moves for one in rest.entities.values()} == {1}
    else:
        assert Counter(one["index"] for one in rest.of(RESULTS)) == dict.fromkeys(range(ITEMS), 1)
