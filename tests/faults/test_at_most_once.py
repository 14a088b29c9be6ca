"""At-most-once under kill -9: an independent witness never sees one attempt of an item twice."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.faults.rigs.crash import CrashRig

import everyitem
from everyitem.compose import open_store

LIMIT = 12


class AtMostOnceRig(CrashRig):
    """The crash rig with at-most-once delivery: after each kill, what is in doubt is settled."""

    #: A run that has nothing left but items in doubt ends with an error that names them.
    ends = (0, 1)

    def document(self) -> dict[str, Any]:
        document = super().document()
        document["processingConfiguration"] |= {"delivery": "at-most-once", "inDoubtLimit": LIMIT}
        return document

    def finish_and_settle(self) -> int:
        """Run until only items in doubt are left, settle them, and go on to the end; how many there were."""
        before = len(self.ledger())
        process = self.start()
        process.wait(timeout=120)
        self.look(before)
        response = json.loads((self.folder / "out").read_text())
        doubts = self.settle()
        if not doubts:
            assert response["status"] == "SUCCESS", response
            return 0
        assert response["status"] == "ERROR" and response["errorCode"] == "SYSTEM_ERROR", response
        assert len(response["details"]["systemErrors"]) == doubts
        return doubts + self.finish_and_settle()

    def settle(self) -> int:
        """Settle everything that is in doubt, each in another way; returns how many items that were."""
        ways: list[dict[str, Any]] = [
            {"succeeded": True, "result": "seen"},
            {"failed": True},
            {"again": True},
        ]
        with everyitem.open(self.store_url) as session:
            doubts = session.in_doubt("killed")
            for number, doubt in enumerate(doubts):
                session.settle("killed", doubt.item_id, **ways[number % 3], reason="by the test")
            assert session.in_doubt("killed") == []
        return len(doubts)

    def in_doubt(self) -> int:
        """How many items a crash has left in doubt just now."""
        if not (self.folder / "store.sqlite").exists():
            return 0
        store = open_store(self.store_url, read_only=True)
        try:
            record = store.find("killed")
            intents = store.intents(record.execution_key) if record else []
            return sum(not intent.doubt for intent in intents)
        finally:
            store.close()

    def check_no_second_call(self) -> None:
        """The witness saw no attempt of any item twice."""
        called = Counter((call.index, call.attempt) for call in self.ledger())
        twice = [one for one, count in called.items() if count > 1]
        assert not twice, f"(item, attempt) called twice: {twice[:10]}"


def prove(rig: AtMostOnceRig, kills: int) -> None:
    """Kill, look, go on; at the end every item is accounted for and no attempt was called twice."""
    while rig.kills < kills and rig.kill_once():
        assert rig.in_doubt() <= LIMIT
        rig.check_no_second_call()
    rig.finish_and_settle()
    rig.check_no_second_call()
    outcomes = rig.outcomes()
    assert outcomes.keys() == set(range(rig.items))
    called = {call.index for call in rig.ledger()}
    # an item that was never called has an outcome only where a person said so
    with everyitem.open(rig.store_url) as session:
        for index in set(range(rig.items)) - called:
            assert session.explain("killed", str(index)).attempts[-1].settled
    rig.verify()


@pytest.mark.parametrize("kind", ["thread", "process"])
def test_no_attempt_is_called_twice_however_often_it_is_killed(tmp_path: Path, kind: str) -> None:
    """Some kills at random moments, in both kinds of nodes."""
    prove(AtMostOnceRig(tmp_path, items=250, kind=kind, seed=16), kills=3)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("kind", ["thread", "process"])
def test_no_attempt_is_called_twice_in_hundreds_of_kills(tmp_path: Path, kind: str, seed: int) -> None:
    """The long form: many kills, many seeds."""
    prove(AtMostOnceRig(tmp_path, items=3000, kind=kind, seed=seed, slots=4), kills=25)
