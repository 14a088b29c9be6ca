"""The world itself: its store refuses whatever a real one would, and whatever would break a promise."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from everyitem.adapters.stores.liveness import LEASE
from everyitem.adapters.stores.transactions import Position
from everyitem.engine.deferrals import DEFERRAL_TIMEOUT
from everyitem.model.errors import ErrorCode, OwnershipLost
from everyitem.model.outcome import Excuse, Failure, Successes
from everyitem.model.status import ExecutionStatus
from everyitem.ports.checkpoint import Commit, Counters, PendingRetry, SegmentDraft
from everyitem.ports.deferral import Deferral
from everyitem.ports.doubt import Decision, Intent, Settlement
from everyitem.ports.node import Lease
from everyitem.ports.outbox import OutboxEvent
from everyitem.testing.simulator import Simulation, SimulationFailed
from everyitem.testing.simulator.day import Fate, Kind
from everyitem.testing.simulator.virtual_ownership import VirtualOwnership
from everyitem.testing.simulator.virtual_store import VirtualStore

ITEMS = 8


@dataclass(eq=False)
class Process:
    """A process, as far as the store and the witness care."""

    here: bool
    name: str = "somebody"
    is_dead: bool = False
    round: int = 1


class Room:
    """A kind world with one execution: item 0 has succeeded, item 1 has failed, and its owner lives."""

    def __init__(self, *, at_most_once: bool = False) -> None:
        self.world = world = Simulation(0)
        day = world.day
        day.items, day.at_most_once, day.max_attempts = ITEMS, at_most_once, 2
        day.fates = [Fate(), Fate(Kind.FAILS, 5), *[Fate()] * (ITEMS - 2)]
        day.promises, day.store_faults, day.clock_steps = {}, 0.0, 0
        day.configuration = replace(
            day.configuration,
            at_most_once=at_most_once,
            in_doubt_limit=2,
            enable_checkpointing=True,
            checkpoint_interval=3,
        )
        self.store = world.store = VirtualStore(world)
        self.process = Process(here=True, name="the owner")
        self.ownership = self.claim(self.process)
        self.commit(status=ExecutionStatus.RUNNING)
        self.commit(segments=[segment(succeeded(0), failures=[failed(1, 1)])])
        self.commit(segments=[segment(failures=[failed(1, 2, final=True)])])

    def claim(self, process: Process) -> VirtualOwnership:
        ownership = self.store.claim(process)
        assert ownership is not None
        return ownership

    def commit(self, **what: Any) -> None:
        self.ownership.commit(Commit(**what))

    def content(self) -> list[str]:
        """All there is on the disk."""
        parts = (self.store, self.store.intents, self.store.deferrals)
        return [repr({k: v for k, v in vars(part).items() if k not in ("_world", "_day")}) for part in parts]


def segment(
    *runs: Successes, failures: Sequence[Failure] = (), excuses: Sequence[Excuse] = ()
) -> SegmentDraft:
    return SegmentDraft(list(runs), list(failures), excuses=list(excuses))


def succeeded(index: int, attempt: int = 1, text: bytes | None = None) -> Successes:
    return Successes([(index, 1)], attempt, [1], b"[%s]" % (text or b"%d" % index))


def failed(index: int, attempt: int, *, kind: str = "Boom", **more: bool) -> Failure:
    return Failure(index, attempt, ErrorCode.ITEM_ERROR, kind, "boom", **more)


def event(event_id: str, kind: str = "CheckpointCreated") -> OutboxEvent:
    return OutboxEvent(event_id, kind, "simulated", 0.0, b"{}")


#: What a commit must not hold, and what the world says of it. Item 0 has succeeded, item 1 has failed.
ILLEGAL: dict[str, tuple[dict[str, Any], str]] = {
    "a second outcome": ({"segments": [segment(succeeded(0))]}, "I3: a second outcome"),
    "an outcome after a failure": ({"segments": [segment(succeeded(1))]}, "I3: a second outcome"),
    "two outcomes at once": ({"segments": [segment(succeeded(2), succeeded(2))]}, "I3: a second outcome"),
    "a failed attempt twice": (
        {"segments": [segment(failures=[failed(2, 1)]), segment(failures=[failed(2, 1)])]},
        "I3: attempt 1 of item 2 comes twice",
    ),
    "an attempt twice, the second one excused": (
        {"segments": [segment(failures=[failed(2, 1), failed(2, 1)], excuses=[Excuse(2, 1)])]},
        "I3: attempt 1 of item 2 is excused after attempt 0",
    ),
    "an attempt excused that speaks of its item": (
        {"segments": [segment(failures=[failed(2, 1, innate=True, excused=True)])]},
        "is excused, but speaks of the item",
    ),
    "a written attempt excused that speaks of its item": (
        {
            "segments": [
                segment(failures=[failed(2, 1, innate=True)]),
                segment(excuses=[Excuse(2, 1)]),
            ]
        },
        "I3: attempt 1 of item 2 is excused after attempt 1",
    ),
    "a retry given back without an excuse": (
        {"segments": [segment(failures=[failed(2, 1)])], "retries_set": [PendingRetry(2, 0, 0.0)]},
        "I4: item 2 waits with 0 attempts used up, recorded are 1",
    ),
    "an attempt beyond the budget": ({"segments": [segment(failures=[failed(2, 3)])]}, "I4: attempt 3"),
    "somebody else's result": (
        {"segments": [segment(succeeded(2, text=b"3"))]},
        "I10: item 2 got the result",
    ),
    "an outcome that is not its fate": (
        {"segments": [segment(failures=[failed(2, 2, final=True)])]},
        "I10: item 2 fails at attempt 2",
    ),
    "a segment that is too long": (
        {"segments": [segment(*[succeeded(index) for index in range(2, 6)])]},
        "I8: a segment holds 4 outcomes",
    ),
    "a retry of what has an outcome": (
        {"retries_set": [PendingRetry(0, 1, 0.0)]},
        "I6: an item with an outcome still waits",
    ),
    "a state that cannot follow": ({"status": ExecutionStatus.QUEUED}, "goes from RUNNING to QUEUED"),
    "an event twice": ({"events": [event("one"), event("one")]}, "I7: event one comes twice"),
    "a response without its event": ({"response": b"{}"}, "I7: a response and its terminal event"),
    "an end without its response": ({"events": [event("end", "BatchExecuted")]}, "I7: a response and"),
    "counts that do not add up": ({"counters": Counters(succeeded=2, failed=1)}, "I2: "),
    "a checkpoint too many": (
        {"counters": Counters(succeeded=1, failed=1, retried=2, checkpoints=3)},
        "I6: 3 checkpoints, 2 segments",
    ),
    "retried items nobody retried": (
        {"counters": Counters(succeeded=1, failed=1, retried=3, checkpoints=2)},
        "I2: retried 3",
    ),
    "time that runs backwards": (
        {"counters": Counters(succeeded=1, failed=1, retried=2, checkpoints=2, active_ms=-1)},
        "F21: active time",
    ),
    "an intent where none is needed": ({"intents_set": [Intent(2, 1)]}, "intents are written"),
    "a deferral of what has an outcome": ({"deferrals_set": [Deferral(0, 1, 9.0)]}, "I6: .* still deferred"),
    "time running out that never began": (
        {"segments": [segment(failures=[failed(2, 1, kind=DEFERRAL_TIMEOUT)])]},
        "runs out of time it never had",
    ),
}


@pytest.mark.parametrize("name", ILLEGAL)
def test_an_illegal_commit_is_refused(name: str) -> None:
    """It says which promise it would break, and nothing of it is written, what was legal in it included.

    What is legal in all of them is that item 5 waits for its second attempt.
    """
    what, fault = ILLEGAL[name]
    refused(Room(), lambda room: room.commit(**{"retries_set": [PendingRetry(5, 1, 0.0)], **what}), fault)


def test_what_is_legal_is_written() -> None:
    """The table above proves nothing where everything is refused."""
    room = Room()
    room.commit(
        segments=[segment(succeeded(2), succeeded(3)), segment(failures=[failed(4, 1)])],
        retries_set=[PendingRetry(4, 1, 0.0)],
        deferrals_set=[Deferral(5, 1, room.world.wall + 9)],
        counters=Counters(succeeded=3, failed=1, retried=2, checkpoints=4, active_ms=10),
        events=[event("one"), event("two")],
    )
    assert bytes(room.store.marks) == bytes([1, 2, 1, 1, 0, 0, 0, 0])
    assert (len(room.store.segments), list(room.store.pending), list(room.store.deferrals.on_disk)) == (
        4,
        [4],
        [5],
    )


def test_what_an_outage_took_is_given_back_with_its_excuse() -> None:
    """Written first and excused later, or marked from the start: what counts is recorded once."""
    room = Room()
    room.commit(
        segments=[segment(failures=[failed(2, 1), failed(3, 1, excused=True)])],
        retries_set=[PendingRetry(2, 1, 0.0), PendingRetry(3, 0, 0.0)],
        counters=Counters(succeeded=1, failed=1, retried=2, checkpoints=3),
    )
    room.commit(
        segments=[segment(excuses=[Excuse(2, 1)])],
        retries_set=[PendingRetry(2, 0, 0.0)],
        counters=Counters(succeeded=1, failed=1, retried=1, checkpoints=4),
    )
    room.commit(
        segments=[segment(succeeded(2), succeeded(3))],
        retries_cleared=[2, 3],
        counters=Counters(succeeded=3, failed=1, retried=1, checkpoints=5),
    )
    assert room.store.marks.count(1) == 3


#: What at-most-once forbids; items 2 and 3 have an intent, and item 3 is in doubt.
UNINTENDED: dict[str, tuple[dict[str, Any], str]] = {
    "more than may be in doubt": ({"intents_set": [Intent(4, 1), Intent(5, 1)]}, "leave 3 items in doubt"),
    "an intent of what has an outcome": ({"intents_set": [Intent(0, 1)]}, "I6: an item with an outcome may"),
    "an outcome that leaves its intent": (
        {"segments": [segment(succeeded(2))]},
        "I6: an item with an outcome",
    ),
    "a decision about what is certain": (
        {
            "segments": [
                SegmentDraft([], [], settlements=[Settlement(5, Decision.AGAIN, "me", 0.0, attempt=1)])
            ]
        },
        "attempt 1 of item 5 is settled",
    ),
    "a decision about another attempt": (
        {
            "segments": [
                SegmentDraft([], [], settlements=[Settlement(3, Decision.AGAIN, "me", 0.0, attempt=2)])
            ]
        },
        "attempt 2 of item 3 is settled",
    ),
}


@pytest.mark.parametrize("name", UNINTENDED)
def test_what_at_most_once_forbids_is_refused(name: str) -> None:
    """Intents and decisions, too."""
    room = Room(at_most_once=True)
    room.commit(intents_set=[Intent(2, 1), Intent(3, 1, "died")])
    what, fault = UNINTENDED[name]
    refused(room, lambda room: room.commit(**what), fault)


#: What must not become of an attempt that is deferred: item 2's, until 9 s from the start of the day.
BROKEN_PROMISES: dict[str, tuple[dict[str, Any], str]] = {
    "deferred twice": ({"deferrals_set": [Deferral(2, 1, 99.0)]}, "attempt 1 of item 2 is deferred twice"),
    "over, and nothing follows": ({"deferrals_cleared": [(2, 1)]}, "and nothing follows"),
    "called again though nobody asked": (
        {"deferrals_cleared": [(2, 1)], "retries_set": [PendingRetry(2, 1, 0.0)]},
        "its event came in time",
    ),
    "an outcome that leaves the deferral": ({"segments": [segment(succeeded(2))]}, "I6: .* still deferred"),
}


@pytest.mark.parametrize("name", BROKEN_PROMISES)
def test_a_deferral_is_kept_until_something_takes_its_place(name: str) -> None:
    """On disk it ends with what follows from it, and only after its owner has asked in the end."""
    room = Room()
    room.commit(deferrals_set=[Deferral(2, 1, room.world.wall + 9)])
    room.ownership.completions(9)  # too early to say anything
    what, fault = BROKEN_PROMISES[name]
    refused(room, lambda room: room.commit(**what), fault)


def test_a_deferral_runs_out_once_its_owner_has_asked_late() -> None:
    """The legal way of the above; an event that comes then is told to nobody."""
    room = Room()
    room.commit(deferrals_set=[Deferral(2, 1, room.world.wall + 9)])
    room.world.now += 9
    assert room.ownership.completions(9) == []
    room.commit(deferrals_cleared=[(2, 1)], retries_set=[PendingRetry(2, 1, 0.0)])
    assert room.store.deferrals.hear(2, 1, Kind.GOOD) == "too late"
    assert room.ownership.completions(9) == []


def test_an_event_that_comes_before_its_deferral_waits_for_it() -> None:
    """And is told once, however often it comes."""
    room = Room()
    assert room.store.deferrals.hear(2, 1, Kind.GOOD) == "before its deferral is on disk"
    assert room.ownership.completions(9) == []
    room.commit(deferrals_set=[Deferral(2, 1, room.world.wall + 9)])
    assert room.store.deferrals.hear(2, 1, Kind.FAILS) == "once more"
    (told,) = room.ownership.completions(9)
    assert (told.index, told.attempt, told.failure) == (2, 1, None)
    assert room.ownership.completions(9) == []


# -- who writes -------------------------------------------------------------------------------------


def test_a_living_owner_is_not_replaced() -> None:
    """Whoever asks, gets nothing; a dead one on this host is replaced at once."""
    room = Room()
    assert room.store.claim(Process(here=True)) is None
    room.process.is_dead = True
    assert room.store.claim(Process(here=True)) is not None


def test_an_owner_elsewhere_is_replaced_after_its_lease() -> None:
    """Nobody can see whether it lives."""
    room = Room()
    room.process.here = False
    assert room.store.claim(Process(here=False)) is None
    room.world.now += LEASE + 1
    assert room.store.claim(Process(here=False)) is not None


@pytest.mark.parametrize(
    "write",
    [
        lambda owner: owner.commit(Commit(segments=[segment(succeeded(2))])),
        lambda owner: owner.renew(None),
        lambda owner: owner.open_round([1]),
        lambda owner: owner.release(ExecutionStatus.INTERRUPTED),
    ],
    ids=["commit", "renewal", "round", "release"],
)
def test_who_was_replaced_writes_nothing(write: Callable[[VirtualOwnership], object]) -> None:
    """Its token is stale."""
    room = Room()
    room.process.is_dead = True
    room.claim(Process(here=True, name="the heir"))
    refused(room, lambda room: write(room.ownership), "has been replaced", OwnershipLost)


def test_who_has_the_token_and_is_not_the_owner_writes_nothing() -> None:
    """I5, seen from outside: the token is right, the process is not."""
    room = Room()
    thief = VirtualOwnership(room.store, Process(here=True, name="a thief"), room.ownership.token)
    refused(room, lambda _: thief.renew(None), "I5: a thief writes")


def test_who_gave_the_execution_back_writes_nothing() -> None:
    """Not even the same process."""
    room = Room()
    room.ownership.release()
    refused(room, lambda room: room.commit(segments=[segment(succeeded(2))]), "given back", OwnershipLost)


@pytest.mark.parametrize(
    ("position", "fault", "kind"),
    [
        ((1, 0, 0), "has been replaced", OwnershipLost),
        ((0, 1, 0), "I6: what comes after segment 2 of round 2", SimulationFailed),
        ((0, 0, -1), "I6: what comes after segment 1 of round 1", SimulationFailed),
        ((0, 0, 1), "I6: what comes after segment 3 of round 1", SimulationFailed),
    ],
    ids=["write", "round", "behind", "ahead"],
)
def test_a_checkpoint_out_of_the_chain_is_refused(
    position: tuple[int, int, int], fault: str, kind: type[Exception]
) -> None:
    """What was built on another state of the record than the present one."""
    room, (writes, rounds, sequence) = Room(), position
    store = room.store
    wrong = Position(store.writes + writes, store.round + rounds, len(store.segments) + sequence, b"")

    def write(room: Room) -> None:
        store.transaction(lambda: store.pass_guard(room.process, store.token, wrong))

    refused(room, write, fault, kind)


def test_a_round_is_opened_over_failed_items_only() -> None:
    """Not over what has succeeded, and not while something is in doubt or deferred."""
    room = Room()
    refused(room, lambda room: room.ownership.open_round([1, 0]), "item 0, which has not failed")
    room.commit(deferrals_set=[Deferral(2, 1, 9.0)])
    refused(room, lambda room: room.ownership.open_round([1]), "are deferred")
    doubtful = Room(at_most_once=True)
    doubtful.commit(intents_set=[Intent(2, 1, "died")])
    refused(doubtful, lambda room: room.ownership.open_round([1]), "are in doubt")


# -- who calls --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "index", "attempt", "fault"),
    [
        ({}, 0, 1, "I8: item 0 runs again"),
        ({"retries_set": [PendingRetry(2, 1, 0.0)]}, 2, 1, "I4: attempt 1 of item 2 is forgotten"),
        ({"retries_set": [PendingRetry(2, 1, 0.0, True)]}, 2, 2, "does not run alone"),
        ({"deferrals_set": [Deferral(2, 1, 9.0)]}, 2, 1, "is deferred on disk"),
    ],
    ids=["recorded", "attempt forgotten", "killer in company", "deferred"],
)
def test_a_call_without_a_reason_is_seen(what: dict[str, Any], index: int, attempt: int, fault: str) -> None:
    """The witness knows what was recorded when the run began."""
    room = Room()
    room.commit(**what)
    with pytest.raises(SimulationFailed, match=fault):
        call(room, index, attempt)


def test_a_call_that_is_repeated_needs_a_cause() -> None:
    """A lost worker is one, and good for one repetition."""
    room = Room()
    call(room, 2, 1)
    room.world.witness.excuse(room.process, 2, 1)
    call(room, 2, 1, begins=False)
    with pytest.raises(SimulationFailed, match="repeated without a cause"):
        call(room, 2, 1, begins=False)


def test_a_call_that_met_an_outage_may_be_repeated_once() -> None:
    """It may have been excused; the repetition met none and is not repeated."""
    room = Room()
    call(room, 2, 1)
    room.world.witness.ends(room.process, 2)
    room.world.witness.refused(room.process, 2, 1)
    call(room, 2, 1, begins=False)
    room.world.witness.ends(room.process, 2)
    with pytest.raises(SimulationFailed, match="repeated without a cause"):
        call(room, 2, 1, begins=False)


def call(room: Room, index: int, attempt: int, *, begins: bool = True) -> None:
    """A worker of the owner calls an item, in a run that `begins` with it or in the one before."""
    witness, store = room.world.witness, room.store
    if begins:
        witness.begins_run(room.process, store.recorded(), store.round)
    pending = store.pending.get(index)
    witness.starts(
        room.process,
        Lease(1, [index, index + 1], attempt=attempt),
        index,
        on_disk=pending.attempts if pending else 0,
        intent=store.intents.on_disk.get(index),
        alone=False,
        deferral=store.deferrals.on_disk.get(index),
    )
    witness.ends(room.process, index)


def refused(
    room: Room,
    move: Callable[[Room], object],
    fault: str,
    kind: type[Exception] = SimulationFailed,
) -> None:
    """The move raises, and the disk is as it was."""
    before = room.content()
    with pytest.raises(kind, match=fault):
        move(room)
    assert room.content() == before
