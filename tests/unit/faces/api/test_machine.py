"""What doctor makes of a machine."""

import pytest

from everyitem.faces.api import machine
from everyitem.faces.api.machine import Verdict


@pytest.mark.parametrize(
    ("version", "verdict"),
    [
        ((3, 31, 1), Verdict.FAULT),
        ((3, 40, 1), Verdict.INFO),
        ((3, 51, 3), Verdict.OK),
        ((3, 53, 0), Verdict.OK),
    ],
)
def test_sqlite_versions(version, verdict):
    """Too old is a fault, the WAL-reset race worth knowing."""
    assert machine.check_sqlite(version).verdict is verdict


def test_cgroup_v2_limits_are_read(tmp_path):
    """Quota over period are the cores; `max` is no limit."""
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    assert machine.cgroup_cores(tmp_path) == 1.5
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert machine.cgroup_cores(tmp_path) is None


def test_cgroup_v1_limits_are_read(tmp_path):
    """The older layout; -1 is no limit."""
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("50000")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000")
    assert machine.cgroup_cores(tmp_path) == 0.5
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("-1")
    assert machine.cgroup_cores(tmp_path) is None


def test_cgroup_memory_is_limit_and_use(tmp_path):
    """Without a limit there is none."""
    assert machine.cgroup_memory(tmp_path) is None
    (tmp_path / "memory.max").write_text("1000")
    (tmp_path / "memory.current").write_text("250")
    assert machine.cgroup_memory(tmp_path) == (1000, 250)


def test_a_clock_before_this_program_is_a_fault(monkeypatch):
    """A machine without a set clock starts in 1970."""
    monkeypatch.setattr(machine.time, "time", lambda: 1000.0)
    assert machine.check_clock().verdict is Verdict.FAULT
