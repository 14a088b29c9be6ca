"""What one run leaves in the started-items file, and what the next one makes of it."""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from everyitem.adapters.started import StartedFile, file, started_path
from everyitem.ports.started import Suspect

OPEN: Callable[[int], bool] = lambda index: True  # noqa: E731


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s.db.started-1"


@pytest.fixture
def run(path: Path) -> Iterator[Callable[..., StartedFile]]:
    """Makes the file of a run; those that did not end have died when the next one begins."""
    alive: list[StartedFile] = []

    def run(*, identity: str = "x", item_count: int = 100, cells: int = 40) -> StartedFile:
        for one in alive:
            die(one)
        made = StartedFile(path, identity=identity, item_count=item_count, cells=cells, capacity=8)
        alive[:] = [made]
        return made

    yield run
    for one in alive:
        die(one)


def die(one: StartedFile) -> None:
    """What the kernel does for a process that is gone."""
    for memory in (*one._outgrown, one._memory):
        if memory is not None:
            memory.close()
    one._memory = None
    one._close()


def suspects(made: StartedFile, token: int) -> dict[int, int]:
    """Whom a run suspects at its begin, with their deaths."""
    return {one.index: one.deaths for one in made.begin(token, OPEN).suspects}


def test_what_was_in_flight_when_a_run_died_is_suspected(run) -> None:
    """And nobody else; nobody is charged for having merely been in flight."""
    first = run()
    assert suspects(first, 1) == {}
    section = first.section(4)
    section.begin("a", range(10, 12))
    section.begin("b", (7, 3))
    section.begin("c", (50,))
    section.begin("c", (51,))
    section.begin("d", (60,))
    section.end("d")
    assert suspects(run(), 2) == {3: 0, 7: 0, 10: 0, 11: 0, 51: 0}


def test_who_died_alone_is_charged_and_runs_first(run) -> None:
    """Once for each death in a row."""
    made = run()
    made.begin(1, OPEN)
    made.section(1).begin("a", (4, 5))
    for deaths, token in enumerate(range(2, 6)):
        made = run()
        expected = [Suspect(5, deaths), Suspect(4)] if deaths else [Suspect(4), Suspect(5)]
        assert list(made.begin(token, OPEN).suspects) == expected
        made.section(1).begin("a", (5,))


def test_a_suspect_beside_another_item_is_not_charged(run) -> None:
    """It may have been the other one."""
    made = run()
    made.begin(1, OPEN)
    made.section(1).begin("a", (4,))
    made = run()
    made.begin(2, OPEN)
    section = made.section(2)
    section.begin("a", (4,))
    section.begin("b", (9,))
    assert suspects(run(), 3) == {4: 0, 9: 0}


def test_who_was_in_flight_alone_for_the_first_time_is_not_charged(run) -> None:
    """The last item of a batch is alone by accident."""
    made = run()
    made.begin(1, OPEN)
    made.section(1).begin("a", (99,))
    assert suspects(run(), 2) == {99: 0}


@pytest.mark.parametrize("how", ["next", "idle"])
def test_who_was_survived_is_no_suspect_any_more(run, how: str) -> None:
    """Even if the run dies before the outcome is on disk; and its deaths are forgotten."""
    made = run()
    made.begin(1, OPEN)
    made.section(1).begin("a", (4, 5))
    made = run()
    made.begin(2, OPEN)
    section = made.section(1)
    section.begin("a", (4,))
    section.narrow("a", (4,))
    section.begin("a", (5,)) if how == "next" else section.end("a")
    assert suspects(run(), 3) == ({5: 1} if how == "next" else {5: 0})


def test_items_with_an_outcome_are_not_suspected(run) -> None:
    """Whatever the file says: the store knows better."""
    made = run()
    made.begin(1, OPEN)
    made.section(1).begin("a", (4, 5))
    assert [one.index for one in run().begin(2, lambda index: index != 4).suspects] == [5]


def test_after_a_stop_was_asked_for_nobody_is_suspected(run) -> None:
    """`kill`, a wait, `kill -9`: that is how services are stopped."""
    made = run()
    made.begin(1, OPEN)
    made.section(1).begin("a", (4, 5))
    made.excuse()
    assert suspects(run(), 2) == {}


def test_after_a_restart_of_the_machine_nobody_is_suspected(run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut, or a store copied to another machine."""
    made = run()
    made.begin(1, OPEN)
    made.section(1).begin("a", (4, 5))
    monkeypatch.setattr(file, "_boot", lambda: "another")
    assert suspects(run(), 2) == {}


def test_an_owner_that_was_stopped_and_replaced_makes_nobody_suspicious(run, path: Path) -> None:
    """It still holds the lock on its file; and it does not touch its successor's when it wakes up."""
    stopped = run()
    stopped.begin(1, OPEN)
    section = stopped.section(1)
    section.begin("a", (4, 5))
    successor = StartedFile(path, identity="x", item_count=100, cells=4, capacity=8)
    assert suspects(successor, 2) == {}
    section.begin("a", (6,))
    stopped.end()
    assert path.exists()
    successor.section(1).begin("z", (8,))
    die(successor)
    assert suspects(run(), 3) == {8: 0}


def test_a_run_that_ends_in_good_order_leaves_no_file(run, path: Path) -> None:
    """Neither this one nor one that is half written."""
    made = run()
    made.begin(1, OPEN)
    made.section(1).begin("a", (4, 5))
    made.end()
    assert list(path.parent.iterdir()) == []


def test_suspects_that_did_not_come_to_their_turn_are_kept(run, path: Path) -> None:
    """A run that was interrupted forgets nobody but those it survived."""
    made = run()
    made.begin(1, OPEN)
    made.section(1).begin("a", (4, 5, 6))
    made = run()
    made.begin(2, lambda index: index != 6)
    section = made.section(1)
    section.begin("a", (4,))
    section.end("a")
    made.end()
    assert suspects(run(), 3) == {5: 0}


def test_many_in_flight_run_in_sixteen_turns(run) -> None:
    """Also when the run in between ended before they had theirs."""
    made = run()
    made.begin(1, OPEN)
    section = made.section(40)
    for number in range(40):
        section.begin(number, (number,))
    made = run()
    assert made.begin(2, OPEN).together == 3
    made.end()
    assert run().begin(3, OPEN).together == 3


def test_the_file_is_private(run, path: Path) -> None:
    """Like the store."""
    run().begin(1, OPEN)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("identity", "item_count", "token"), [("other", 100, 2), ("x", 99, 2), ("x", 100, 1)]
)
def test_the_file_of_another_execution_or_of_a_later_owner_is_ignored(
    run, caplog: pytest.LogCaptureFixture, identity: str, item_count: int, token: int
) -> None:
    """With a warning: a store was made anew, or put back from a copy."""
    made = run()
    made.begin(1, OPEN)
    made.section(1).begin("a", (4, 5))
    assert suspects(run(identity=identity, item_count=item_count), token) == {}
    assert "is ignored" in caplog.text


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x00" * 9000])
def test_what_is_no_started_items_file_is_ignored(run, path: Path, caplog, content: bytes) -> None:
    """With a warning; the run goes on and notes anew."""
    path.write_bytes(content)
    made = run()
    assert suspects(made, 2) == {}
    assert "is ignored" in caplog.text
    made.section(1).begin("a", (4,))
    assert suspects(run(), 3) == {4: 0}


def test_links_and_devices_are_not_read(run, path: Path, tmp_path: Path, caplog) -> None:
    """What lies at the path is never followed, and replaced by a file of our own."""
    (tmp_path / "elsewhere").write_bytes(b"x")
    path.symlink_to(tmp_path / "elsewhere")
    assert suspects(run(), 2) == {}
    assert not path.is_symlink()
    assert (tmp_path / "elsewhere").read_bytes() == b"x"
    path.unlink()
    os.mkfifo(path)
    assert suspects(run(), 3) == {}
    assert caplog.text.count("is ignored") == 2


def test_a_damaged_cell_costs_only_itself(run, path: Path, caplog) -> None:
    """The others still tell."""
    made = run()
    made.begin(1, OPEN)
    section = made.section(2)
    section.begin("a", (4,))
    section.begin("b", (9,))
    die(made)
    content = bytearray(path.read_bytes())
    content[content.index((9).to_bytes(8, "little"), 4096)] ^= 1
    path.write_bytes(content)
    assert suspects(run(), 2) == {4: 0}
    assert "a part of" in caplog.text


def test_where_the_file_cannot_be_written_the_run_goes_on_without(
    run, path: Path, monkeypatch, caplog
) -> None:
    """A full disk: it is said once, and nothing is noted."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    made = run()
    assert suspects(made, 1) == {}
    assert "cannot be written (No space left on device)" in caplog.text
    assert made.section(4) is None
    made.excuse()
    made.end()
    assert list(path.parent.iterdir()) == []


def test_a_run_of_process_nodes_notes_nothing_and_forgets_nobody(run, path: Path) -> None:
    """Its items cannot kill it; those that have killed others stay suspects until they have an outcome."""
    made = run(cells=0)
    made.begin(1, OPEN)
    assert not path.exists()
    made = run()
    made.begin(2, OPEN)
    made.section(1).begin("a", (4,))
    assert suspects(run(cells=0), 3) == {4: 0}
    assert suspects(run(), 4) == {4: 0}


def test_a_node_that_grows_gets_more_cells(run) -> None:
    """All its workers are noted, those that were there before it grew included; freed cells serve again."""
    made = run(cells=1)
    made.begin(1, OPEN)
    section = made.section(1)
    for worker in range(10):
        section.begin(worker, (worker,))
    section.end(3)
    section.begin(3, (33,))
    assert suspects(run(), 2) == dict.fromkeys([0, 1, 2, 4, 5, 6, 7, 8, 9, 33], 0)


def test_nodes_that_come_later_are_noted(run, path: Path) -> None:
    """Also where no node was there before that notes anything, and a second one beside it."""
    made = run(cells=0)
    made.begin(1, OPEN)
    made.section(2).begin("a", (4,))
    made.section(2).begin("a", (5,))
    assert suspects(run(), 2) == {4: 0, 5: 0}


def test_a_suspect_that_runs_on_a_node_that_came_later_is_charged(run) -> None:
    """The next run knows it from the file that has grown."""
    made = run(cells=1)
    made.begin(1, OPEN)
    made.section(1).begin("a", (4,))
    made = run(cells=1)
    made.begin(2, OPEN)
    made.section(1)
    made.section(1).begin("b", (4,))
    assert suspects(run(), 3) == {4: 1}


def test_without_room_to_grow_it_notes_what_it_can(run, monkeypatch, caplog) -> None:
    """A full disk is said once, and costs the run nothing."""
    made = run(cells=1)
    made.begin(1, OPEN)
    section = made.section(1)

    def full(descriptor: int, start: int, size: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(file, "_allocate", full)
    for worker in range(5):
        section.begin(worker, (worker,))
    assert made.section(3) is None
    assert [record.message.count("cannot grow") for record in caplog.records] == [1]
    monkeypatch.undo()
    assert suspects(run(), 2) == {0: 0}


def test_it_never_grows_beyond_what_is_read(run, monkeypatch) -> None:
    """What would make the file too large is not noted; what was before still is."""
    made = run(cells=1)
    made.begin(1, OPEN)
    section = made.section(1)
    monkeypatch.setattr(file, "MOST_BYTES", len(made._memory))
    section.begin("a", (4,))
    section.begin("b", (5,))
    assert suspects(run(), 2) == {4: 0}


def test_after_its_end_nothing_is_noted(run, path: Path) -> None:
    """A node that comes in the last moment makes no new file."""
    made = run(cells=0)
    made.begin(1, OPEN)
    made.end()
    assert made.section(1) is None
    assert not path.exists()


def test_it_lies_beside_the_store_or_in_the_data_directory(tmp_path: Path) -> None:
    """A URL with a password in it becomes part of no file name."""
    assert started_path("sqlite:////x/s.db", 7, tmp_path) == Path("/x/s.db.started-7")
    elsewhere = started_path("postgresql://u:secret@h/d", 7, tmp_path)
    assert elsewhere.parent == tmp_path / "started"
    assert "secret" not in elsewhere.name
    assert elsewhere != started_path("postgresql://u:secret@h/e", 7, tmp_path)


def test_a_system_that_cannot_allocate_ahead_notes_all_the_same(run, monkeypatch) -> None:
    """On macOS there is no `posix_fallocate`."""
    monkeypatch.delattr(os, "posix_fallocate")
    first = run()
    first.begin(1, OPEN)
    first.section(1).begin("a", (7,))
    assert suspects(run(), 2) == {7: 0}


def test_the_mapping_goes_with_the_run_unless_somebody_still_notes_in_it(run) -> None:
    """Run after run in one process holds no descriptors; an abandoned thread may go on writing."""
    idle = run()
    idle.begin(1, OPEN)
    section = idle.section(2)
    section.begin("a", (4,))
    section.end("a")
    noted = idle._memory
    idle.end()
    assert noted.closed

    busy = run()
    busy.begin(2, OPEN)
    section = busy.section(2)
    section.begin("a", (4,))
    busy.end()
    section.narrow("a", (5,))
    section.end("a")
