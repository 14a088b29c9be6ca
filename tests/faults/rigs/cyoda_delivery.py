"""A member between a platform's streams and its REST API: entities are its items, and results go back.

The fixtures are imported by the tests that use them.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.acceptance.conftest import Running, Workspace
from tests.faults.rigs.cyoda_platform import PATIENCE, Platform
from tests.faults.rigs.cyoda_rest import CyodaRest, Model

RESULTS, EVENTS, POSITIONS = "BatchItemResult/1", "BatchEvent/1", "Position/1"
OPEN = {"type": "lifecycle", "field": "state", "operatorType": "EQUALS", "value": "open"}
TO_ENTITIES = 'to = "entities"'
TO_TRANSITIONS = 'to = "transitions"\ntransition = "finish"'

#: Starts a member with what `[cyoda.results]` and further tables say.
Start = Callable[..., Running]


@pytest.fixture
def platform() -> Iterator[Platform]:
    """The platform's streams."""
    made = Platform(probe_every=0.2).start()
    yield made
    made.stop()


@pytest.fixture
def rest() -> Iterator[CyodaRest]:
    """The platform's REST API, with positions that are open until somebody finishes them."""
    made = CyodaRest()
    made.models[RESULTS] = Model(keys=("resultKey",))
    made.models[EVENTS] = Model(keys=("eventId",))
    made.models[POSITIONS] = Model(transitions={"open": {"finish": "done"}})
    yield made
    made.stop()


@pytest.fixture
def start(workspace: Workspace, platform: Platform, rest: CyodaRest) -> Start:
    """A member that has joined."""

    def start(results: str = "", *, more: str = "") -> Running:
        config = workspace.folder / "everyitem.toml"
        config.write_text(f'[cyoda]\nurl = "{rest.url}"\n[cyoda.results]\n{results}\n{more}')
        running = workspace.start(
            "member", "--endpoint", platform.address, "--plaintext", "--processors", workspace.processors,
            "--config", config,
        )  # fmt: skip
        platform.joined.get(timeout=PATIENCE)
        return running

    return start


def entity(workspace: Workspace, items: list[Any], **top: Any) -> dict[str, Any]:
    """A batch as an entity of the platform has it."""
    body: dict[str, Any] = json.loads(workspace.document(items, **top).read_text())
    return body


def of_positions(workspace: Workspace, **top: Any) -> dict[str, Any]:
    """A batch whose items are the positions that are open."""
    source = {"kind": "cyoda-search", "reference": POSITIONS, "condition": OPEN}
    return entity(workspace, [], itemSource=source, **top)
