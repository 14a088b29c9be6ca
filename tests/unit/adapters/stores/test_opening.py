"""From store URLs to stores, and where a store may lie."""

import os
import sqlite3
import stat
from pathlib import Path

import pytest

from everyitem.adapters.stores import open_store
from everyitem.adapters.stores.sqlite import location
from everyitem.model.errors import StoreDamaged, StoreError, UsageError
from everyitem.ports.control import ControlKind


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql://u:secret@h/db?nonsense=1", "cannot be understood"),
        ("mysql://h/db", "unknown scheme 'mysql'"),
        ("sqlite://store.db", "three slashes"),
        ("sqlite:///", "a file"),
        ("sqlite:///:memory:", "outlives"),
        ("", "a file"),
    ],
)
def test_other_urls_are_refused_with_what_is_there(url: str, message: str) -> None:
    """A URL this version cannot open says which it can, and shows no password."""
    with pytest.raises(UsageError, match=message) as refusal:
        open_store(url)
    assert "secret" not in str(refusal.value)


def test_a_plain_path_is_an_sqlite_store(tmp_path: Path) -> None:
    """A path without a scheme names the file; the store's URL is absolute."""
    store = open_store(str(tmp_path / "s.db"))
    assert store.url == f"sqlite:///{tmp_path / 's.db'}"
    store.close()


def test_a_link_is_the_store_it_leads_to(tmp_path: Path) -> None:
    """The log lies beside the file itself, and so must the lock: else two names would have two locks."""
    open_store(str(tmp_path / "s.db")).close()
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "link.db"
    link.symlink_to("../s.db")
    store = open_store(f"sqlite:///{link}")
    assert store.url == f"sqlite:///{tmp_path / 's.db'}"
    store.close()
    assert [path.name for path in link.parent.iterdir()] == ["link.db"]


def test_store_files_belong_to_their_user_alone(tmp_path: Path) -> None:
    """Files are made with 0600 and new directories with 0700, whatever the umask allows."""
    before = os.umask(0)
    try:
        store = open_store(f"sqlite:///{tmp_path}/new/deep/s.db")
        names = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "new/deep").iterdir()}
        folder = stat.S_IMODE((tmp_path / "new/deep").stat().st_mode)
        store.close()
    finally:
        os.umask(before)
    assert {"s.db", "s.db.lock"} <= names.keys()
    assert set(names.values()) == {0o600}
    assert folder == 0o700


def test_a_read_only_store_must_exist(tmp_path: Path) -> None:
    """Reading creates nothing."""
    with pytest.raises(UsageError, match="no store at"):
        open_store(str(tmp_path / "s.db"), read_only=True)
    assert list(tmp_path.iterdir()) == []


def test_a_store_at_rest_can_be_read(tmp_path: Path) -> None:
    """Reading works when no writer is there and the WAL is gone."""
    path = str(tmp_path / "s.db")
    open_store(path).close()
    reader = open_store(path, read_only=True)
    assert reader.executions() == []
    with pytest.raises(StoreError, match="reading only"):
        reader.request(1, ControlKind.PAUSE, "me")
    reader.close()


def test_a_directory_is_no_store(tmp_path: Path) -> None:
    """The message says to name a file."""
    with pytest.raises(UsageError, match="name the file"):
        open_store(str(tmp_path))


def test_a_place_that_cannot_be_written_is_refused() -> None:
    """An unwritable directory is an error of the store that says what to do."""
    with pytest.raises(StoreError, match="--store"):
        open_store("sqlite:////proc/nowhere/s.db")


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    """Some other file under the store's name is refused and keeps its content."""
    path = tmp_path / "s.db"
    path.write_bytes(b"precious notes, not a database at all" * 100)
    before = path.read_bytes()
    with pytest.raises(StoreDamaged, match="no SQLite file"):
        open_store(str(path))
    assert path.read_bytes() == before


def test_the_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    """A foreign SQLite database is refused before anything is written to it."""
    path = tmp_path / "s.db"
    foreign = sqlite3.connect(path)
    foreign.execute("CREATE TABLE notes (text)")
    foreign.commit()
    foreign.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="another program"):
        open_store(str(path))
    assert path.read_bytes() == before


def test_network_file_systems_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On NFS the locks of the WAL cannot be relied on; the innermost mount decides."""
    mounts = tmp_path / "mountinfo"
    nested = tmp_path / "a b"
    mounts.write_text(
        "1 0 0:1 / / rw - ext4 /dev/root rw\n"
        f"2 1 0:2 / {str(nested).replace(' ', chr(92) + '040')} rw shared:1 - nfs4 host:/x rw\n"
    )
    monkeypatch.setattr(location, "_MOUNTS", mounts)
    assert location.file_system_of(tmp_path / "s.db") == "ext4"
    with pytest.raises(StoreError, match="network file system"):
        location.prepare(nested / "s.db")
