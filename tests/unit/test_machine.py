"""What the machine grants, in control groups of either version."""

from pathlib import Path

from everyitem.settings.machine import granted_memory, memory_groups


def test_the_nearest_limit_of_all_groups_above_us_holds(tmp_path: Path):
    """Version 2: `max` is no limit; a group above may be tighter."""
    own = tmp_path / "own"
    own.write_text("0::/slice/service\n")
    root = tmp_path / "groups"
    (root / "slice" / "service").mkdir(parents=True)
    (root / "slice" / "service" / "memory.max").write_text("max\n")
    (root / "slice" / "memory.max").write_text("1048576\n")
    groups = memory_groups(root, own)
    assert groups == (root / "slice" / "service", root / "slice", root)
    assert granted_memory(groups) == 1 << 20


def test_version_1_is_read_too(tmp_path: Path):
    """There memory has a tree of its own, named in a line of its own; other controllers do not matter."""
    own = tmp_path / "own"
    own.write_text("9:cpu,cpuacct:/job\n4:memory:/job\n")
    job = tmp_path / "memory" / "job"
    job.mkdir(parents=True)
    (job / "memory.limit_in_bytes").write_text("2097152\n")
    groups = memory_groups(tmp_path, own)
    assert groups == (job, tmp_path / "memory")
    assert granted_memory(groups) == 2 << 20


def test_in_a_container_the_root_is_ours(tmp_path: Path):
    """The path the kernel names may not be mounted; the limit lies at the root then."""
    own = tmp_path / "own"
    own.write_text("0::/docker/abc\n")
    root = tmp_path / "groups"
    root.mkdir()
    (root / "memory.max").write_text("3145728\n")
    assert granted_memory(memory_groups(root, own)) == 3 << 20


def test_without_groups_the_machine_s_memory_counts(tmp_path: Path):
    """Where there are none, and where none sets a limit, what is built in is granted."""
    assert memory_groups(tmp_path, tmp_path / "missing") == ()
    assert granted_memory([]) == granted_memory([tmp_path]) > 0
