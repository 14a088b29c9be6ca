"""F20: members that are killed while they deliver; every result arrives once, and no item runs twice."""

import json
import random
import threading
from collections import Counter

import pytest
from tests.acceptance.conftest import Workspace
from tests.faults.rigs.cyoda_platform import PATIENCE, DispatchFailed, Platform
from tests.faults.rigs.cyoda_rest import CyodaRest, Model

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]

ITEMS = 2_000
KILLS = 20
RESULTS = "BatchItemResult/1"
OPEN = {"type": "lifecycle", "field": "state", "operatorType": "EQUALS", "value": "open"}


@pytest.fixture
def workspace(tmp_path, root):
    """A folder with a store, and members to start and kill."""
    made = Workspace(tmp_path, root / "src")
    yield made
    for running in made.started:
        if running.process.poll() is None:
            running.process.kill()
        running.process.communicate(timeout=PATIENCE)


@pytest.fixture
def platform():
    """The platform's streams."""
    made = Platform(probe_every=0.2).start()
    yield made
    made.stop()


@pytest.fixture
def rest():
    """The platform's REST API, with positions whose transition leads back to the state it begins at."""
    made = CyodaRest()
    made.models[RESULTS] = Model(keys=("resultKey",))
    made.models["Position/1"] = Model(transitions={"open": {"finish": "open"}})
    yield made
    made.stop()


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


def start(workspace, platform, rest, results):
    config = workspace.folder / "everyitem.toml"
    config.write_text(f'[cyoda]\nurl = "{rest.url}"\n[cyoda.results]\n{results}\n')
    running = workspace.start(
        "member", "--endpoint", platform.address, "--plaintext", "--processors", workspace.processors,
        "--config", config,
    )  # fmt: skip
    platform.joined.get(timeout=PATIENCE)
    return running


@pytest.mark.parametrize("results", ["entities", "entities-without-keys", "transitions"])
def test_every_result_arrives_once_however_often_the_member_is_killed(workspace, platform, rest, results):
    """Killed at random moments of the delivery; also where the platform keeps no unique keys."""
    chance = random.Random(20261130)
    countdown = Countdown(rest)
    if results == "transitions":
        for number in range(ITEMS):
            rest.create("Position/1", {"n": number}, "open")
        source = {"kind": "cyoda-search", "reference": "Position/1", "condition": OPEN}
        body = json.loads(workspace.document([], itemSource=source).read_text())
        said, calls = 'to = "transitions"\ntransition = "finish"', ITEMS
    else:
        if results == "entities-without-keys":
            rest.models[RESULTS].keys = ()
        body = json.loads(workspace.document([{"n": number} for number in range(ITEMS)]).read_text())
        said, calls = 'to = "entities"', ITEMS // 100
    entity_id = platform.create(body)
    for _ in range(KILLS):
        running = start(workspace, platform, rest, said)
        countdown.begin(chance.randint(1, max(2, calls // 10)))
        asked = platform.executing(entity_id)
        while not (countdown.over.wait(0.05) or asked.done()):
            pass
        if asked.done():
            break
        running.process.kill()
        with pytest.raises(DispatchFailed, match="DISCONNECTED"):
            asked.result(PATIENCE)
    start(workspace, platform, rest, said)
    assert platform.execute(entity_id) == "completed"
    told = platform.body(entity_id)["executionMetadata"]["resultsDelivered"]
    assert (told["written"] + told["writtenBefore"], told["refused"]) == (ITEMS, 0)
    assert set(Counter(workspace.calls()).values()) == {1}
    if results == "transitions":
        assert {one.moves for one in rest.entities.values()} == {1}
    else:
        assert Counter(one["index"] for one in rest.of(RESULTS)) == dict.fromkeys(range(ITEMS), 1)
