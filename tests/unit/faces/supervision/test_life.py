"""What is understood of what a supervised process says."""

import pytest

from everyitem.faces.supervision.life import Life
from everyitem.faces.supervision.link import Recovery


@pytest.mark.parametrize("line", [b"\xff\xfe", b"ends soon", b"begun x y", b"begun 1 ff", b"", b"up up"])
def test_what_somebody_else_writes_into_the_pipe_is_passed_over(line: bytes) -> None:
    """Users' code may write to any descriptor; what is said before and after it is heard all the same."""
    life = Life()
    heard = life.hear(b"up\n" + line + b"\nprogressed\nbegun 2 " + b"b".hex().encode() + b"\nends 3\n")
    assert (life.is_up, life.progressed, life.ends, heard) == (True, True, 3, Recovery("b", 2))


def test_a_word_may_come_in_parts() -> None:
    """A pipe knows no lines."""
    life = Life()
    assert life.hear(b"pro") is None
    assert not life.progressed
    life.hear(b"gressed\n")
    assert life.progressed
