"""Output files appear whole or not at all."""

import os
import stat
from pathlib import Path

import pytest

from everyitem.faces.api.files import check_writable, keep_apart, write_whole
from everyitem.model.errors import UsageError


def test_a_file_is_written_whole(tmp_path):
    """The parts follow one another, and no temporary file stays behind."""
    write_whole(tmp_path / "out.jsonl", [b"a\n", b"b\n"])
    assert (tmp_path / "out.jsonl").read_bytes() == b"a\nb\n"
    assert [one.name for one in tmp_path.iterdir()] == ["out.jsonl"]


def test_a_failure_leaves_the_old_file(tmp_path):
    """When producing the parts fails, readers still see what was there before."""
    target = tmp_path / "out"
    target.write_bytes(b"old")

    def parts():
        yield b"new"
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError):
        write_whole(target, parts())
    assert target.read_bytes() == b"old"
    assert [one.name for one in tmp_path.iterdir()] == ["out"]


def test_permissions_are_the_usual_ones(tmp_path):
    """Neither private like a temporary file nor wider than the umask allows."""
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "out", [b""])
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o640


def test_a_link_keeps_pointing_to_its_file(tmp_path):
    """The file behind a symbolic link is replaced, not the link."""
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_whole(tmp_path / "link", [b"new"])
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


def test_devices_are_written_as_they_are():
    """A device cannot be renamed onto."""
    write_whole(Path(os.devnull), [b"x"])
    assert not Path(os.devnull).is_file()


@pytest.mark.parametrize("name", ["", "missing/out"])
def test_places_that_cannot_be_written_are_refused_before_the_work(tmp_path, name):
    """A folder, or a file in a folder that does not exist."""
    with pytest.raises(UsageError):
        check_writable(tmp_path / name)


def test_what_is_read_is_not_written_over(tmp_path):
    """The document, a file of items, the store: named once more by mistake, it would be gone."""
    document = tmp_path / "batch.json"
    document.write_text("{}")
    (tmp_path / "link.json").symlink_to(document)
    (tmp_path / "other.json").touch()
    for name in (document, str(document), tmp_path / "link.json"):
        with pytest.raises(UsageError, match="written over"):
            keep_apart([None, name], [b"{}", {}, document])
    keep_apart([tmp_path / "other.json", tmp_path / "new.json"], [document, "my.module"])
    with pytest.raises(UsageError, match="written over"):
        keep_apart([document], [f"sqlite:///{document}"])


def test_two_outputs_are_two_files(tmp_path):
    """The one would replace the other, also where neither is there yet; a device takes both."""
    with pytest.raises(UsageError, match="written over"):
        keep_apart([tmp_path / "out", f"{tmp_path}/./out"], [])
    keep_apart(["/dev/null", "/dev/null"], [])


def test_what_can_be_no_name_of_a_file_is_said():
    """No operating system takes a NUL in a name; what is read says so itself."""
    with pytest.raises(UsageError, match="cannot be the name of a file"):
        check_writable(Path("out\0.json"))
    keep_apart(["out.json"], ["a\0b"])
