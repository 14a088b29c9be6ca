"""What doctor makes of a store."""

import pytest

from everyitem.faces.api import store_checks
from everyitem.faces.api.machine import Verdict
from everyitem.faces.api.store_checks import check_server
from everyitem.ports.store_server import StoreServer


@pytest.mark.parametrize(
    ("kind", "verdict"), [("nfs4", Verdict.WARNING), ("tmpfs", Verdict.WARNING), ("ext4", Verdict.OK)]
)
def test_network_file_systems_are_warned_of(tmp_path, monkeypatch, kind, verdict):
    """Their locks are not to be relied on; memory is lost at a restart."""
    monkeypatch.setattr(store_checks, "file_system_of", lambda folder: kind)
    assert store_checks.check_file_system(tmp_path).verdict is verdict


def test_a_full_disk_is_a_fault(tmp_path, monkeypatch):
    """Checkpoints could not be written."""
    usage = type("Usage", (), {"free": 10 << 20})
    monkeypatch.setattr(store_checks.shutil, "disk_usage", lambda folder: usage)
    check = store_checks.check_disk(tmp_path)
    assert check.verdict is Verdict.FAULT
    assert "free at least" in check.advice


def test_the_file_system_of_a_folder_is_known(tmp_path):
    """The longest mount point above the folder decides."""
    assert store_checks.file_system_of(tmp_path)


def test_a_store_others_may_read_is_warned_of(tmp_path):
    """Its items may be anybody's salary. What we make is private; `touch` and `cp` make it otherwise."""
    path = tmp_path / "s.sqlite"
    assert store_checks.check_privacy(path) == []
    path.touch()
    path.chmod(0o640)
    [check] = store_checks.check_privacy(path)
    assert (check.verdict, "-rw-r-----" in check.found) == (Verdict.WARNING, True)
    path.chmod(0o600)
    assert store_checks.check_privacy(path) == []


@pytest.mark.parametrize(
    ("change", "warned"),
    [
        ({}, set()),
        ({"supported": False}, {"server"}),
        ({"careless": ("fsync",)}, {"durability"}),
        ({"local": False, "host": "db.example"}, {"connection"}),
        ({"local": False, "host": "db.example", "encrypted": True}, set()),
        ({"local": False, "encrypted": True, "round_trip_ms": 90.0}, {"connection"}),
        ({"clock_ahead": -3600.0}, {"server's clock"}),
    ],
)
def test_a_server_is_warned_of_for_what_it_lacks(change, warned):
    """No TLS off this machine, no fsync, an old version, a far way, a wrong clock."""
    sound = {
        "version": "PostgreSQL 18.1",
        "supported": True,
        "host": "127.0.0.1",
        "local": True,
        "encrypted": False,
        "careless": (),
        "round_trip_ms": 0.2,
        "clock_ahead": 0.0,
    }
    checks = check_server(StoreServer(**{**sound, **change}))
    assert {check.name for check in checks if check.verdict is Verdict.WARNING} == warned
    assert all(check.advice for check in checks if check.verdict is Verdict.WARNING)
