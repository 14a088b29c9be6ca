"""F17, F18: receivers that are away or refuse; processes that are killed between sending and noting."""

import json
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from tests.acceptance.conftest import Workspace, workspace
from tests.services.http_server import serving
from tests.services.receiver import Receiver, receiving

import everyitem
from everyitem import compose
from everyitem.adapters.publishers import build_publisher
from everyitem.engine.relay import Relay
from everyitem.engine.relay.tenure import LEASE
from everyitem.settings.alerting import Limits
from everyitem.settings.publishing import PublishingSettings

__all__ = ["workspace"]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture
def sends(workspace: Workspace) -> Callable[..., None]:
    """Says where the workspace's events go."""

    def sends(to: Receiver, **more: object) -> None:
        # where somebody takes them the end of a run waits for all of them, on a slow machine, too
        lines = [f"{name} = {json.dumps(value)}" for name, value in ({"flushSeconds": 60} | more).items()]
        table = ['publisher = "webhook"', f'url = "{to.url}"', "allowPrivate = true", *lines]
        (workspace.folder / "everyitem.toml").write_text("[events]\n" + "\n".join(table) + "\n")

    return sends


def run(
    workspace: Workspace, batch_id: str = "b", items: int = 50, *, interval: int = 1, **more: object
) -> None:
    """A batch with a checkpoint after every item or so."""
    path = workspace.document(
        list(range(items)), batch_id=batch_id, configuration={"checkpointInterval": interval}, **more
    )
    assert workspace.do("run", path, "--no-progress").returncode == 0


def stored(workspace: Workspace, batch_id: str = "b") -> list[str]:
    lines = workspace.do("events", batch_id).stdout.splitlines()
    return [json.loads(line)["id"] for line in lines]


def test_a_run_publishes_its_events_in_order_and_each_once(workspace, receiver, sends):
    """What was sent is what the store tells of, the end last."""
    sends(receiver)
    run(workspace)
    assert receiver.ids() == stored(workspace)
    assert len(receiver.taken) == len(receiver.ids())
    assert receiver.taken[-1]["type"] == "BatchExecuted"


def test_a_receiver_that_is_away_costs_nothing_but_time(workspace, receiver, sends):
    """The batch ends as ever; the next process that looks after the store sends what is left, in order."""
    sends(receiver, flushSeconds=0)
    receiver.close()
    run(workspace, "first")
    run(workspace, "second")
    with receiving(receiver.port) as back:
        sends(back)
        run(workspace, "third", items=1)
        everything = [one for batch_id in ("first", "second", "third") for one in stored(workspace, batch_id)]
        assert back.ids() == everything


def test_an_event_nobody_wants_is_parked_and_the_others_pass(workspace, receiver, sends):
    """Behind it in its batch only once it is given up; offered again when somebody says so."""
    poison = "first@1/checkpoint/1"
    receiver.answer = lambda events: (422 if any(one["id"] == poison for one in events) else 204, {})
    sends(receiver, tries=1, batchSize=10)
    run(workspace, "first", items=20)
    run(workspace, "second", items=20)
    expected = [*stored(workspace, "first"), *stored(workspace, "second")]
    expected.remove(poison)
    assert receiver.ids() == expected
    receiver.answer = lambda _: (204, {})
    assert "1 events" in workspace.do("events", "first", "--resend").stderr
    run(workspace, "third", items=1)
    assert poison in receiver.ids()


def test_an_event_nobody_wants_is_an_alert(workspace, receiver, sends):
    """With its id, and what the receiver said."""
    receiver.answer = lambda _: (400, {})
    sends(receiver, tries=1)
    run(workspace, items=1)
    alerts = json.loads(workspace.do("alerts", "--json").stdout)
    parked = [one for one in alerts if one["kind"] == "event-parked"]
    told = {event_id for event_id in stored(workspace) for one in parked if event_id in one["text"]}
    assert told == set(stored(workspace))
    assert all("answered 400" in one["text"] for one in parked)


@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=pytest.mark.long)])
def test_a_kill_at_any_moment_loses_no_event(workspace, receiver, sends, kills):
    """What was sent and not noted is sent again under its id."""
    sends(receiver)
    path = workspace.document(list(range(400)), configuration={"checkpointInterval": 1})
    for number in range(kills):
        running = workspace.start("run", path, "--no-progress")
        receiver.wait_for(number * 5 + 1)
        running.send(signal.SIGKILL)
        running.end()
    assert workspace.do("run", path, "--no-progress").returncode == 0
    assert receiver.ids() == stored(workspace)


def test_a_service_publishes_what_its_batches_tell(workspace, receiver, sends, root):
    """Whichever process carries them out, and what came before it began."""
    run(workspace, "before", items=3)
    sends(receiver)
    with (
        serving(
            workspace.folder, root / "src", "--processors", workspace.processors, "--store", workspace.store
        ) as server,
        everyitem.connect(server.url) as client,
    ):
        client.submit(json.loads(workspace.document([1, 2], batch_id="after").read_text()))
        client.wait("after", timeout=60)
        receiver.wait_for(len(stored(workspace, "before")) + len(stored(workspace, "after")))
    assert receiver.taken[-1]["type"] == "BatchExecuted"


@pytest.mark.long
def test_a_receiver_slower_than_the_lease_hears_one_relay(workspace, receiver):
    """Another process is ready to publish all the while: each event comes once, in order."""
    run(workspace, items=5)
    slow = threading.Event()

    def answer(_: list[dict[str, object]]) -> tuple[int, dict[str, str]]:
        # the receiver's own slowness, once
        slow.wait(2.5 * LEASE)
        slow.set()
        return 204, {}

    receiver.answer = answer
    to = PublishingSettings(publisher="webhook", url=receiver.url, allow_private=True, timeout_seconds=60)
    with ExitStack() as both:
        for _ in range(2):
            relay = Relay(
                lambda: compose.open_outlet(workspace.store),
                build_publisher(to),
                tries=1,
                limits=Limits(),
                notice=lambda _: None,
            )
            relay.begin()
            both.callback(relay.close, 0.0)
        receiver.wait_for(len(stored(workspace)))
    assert [one["id"] for one in receiver.taken] == stored(workspace)


def test_a_publisher_that_hangs_keeps_nobody_out_once_its_relay_was_closed(workspace, monkeypatch):
    """It is left to itself in its thread; nothing renews the claim for it any more."""
    run(workspace, items=1)
    monkeypatch.setattr("everyitem.engine.relay.relay.AGAIN", 0.0)
    hangs, hung = threading.Event(), threading.Event()

    class Hanging:
        at_once = 1

        def publish(self, _: object) -> None:
            hung.set()
            assert hangs.wait(60)

        def close(self) -> None:
            """There is nothing to close."""

    before = set(threading.enumerate())
    relay = Relay(
        lambda: compose.open_outlet(workspace.store),
        Hanging(),
        tries=1,
        limits=Limits(),
        notice=lambda _: None,
    )
    relay.begin()
    try:
        assert hung.wait(60)
        renewing = [
            one for one in threading.enumerate() if one.name == "everyitem-tenure" and one not in before
        ]
        relay.close(0.0)
        for one in renewing:
            one.join(60)
        assert [one.is_alive() for one in renewing] == [False]
    finally:
        hangs.set()
        for one in set(threading.enumerate()) - before:
            one.join(60)
