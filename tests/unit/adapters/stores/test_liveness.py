"""Whether the owner of an execution must still be believed."""

import os
import subprocess
import sys

from msgspec.structs import replace

from everyitem.adapters.stores.liveness import Owner, ProcessIdentity, _start_of, this_process


def test_this_process_is_alive() -> None:
    """The calling process knows itself."""
    assert this_process().is_alive() is True


def test_a_process_that_ended_is_dead_even_before_it_is_reaped() -> None:
    """A zombie holds a process id and nothing else."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    identity = replace(this_process(), pid=child.pid, started=_start_of(child.pid) or "")
    assert identity.is_alive() is True
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert identity.is_alive() is False
    child.communicate()
    assert identity.is_alive() is False


def test_a_process_id_used_again_is_another_process() -> None:
    """The moment of the start tells two processes of one id apart."""
    assert replace(this_process(), started="1").is_alive() is False


def test_processes_elsewhere_are_known_by_their_lease_only() -> None:
    """Another host, another boot and another container cannot be looked into."""
    me = this_process()
    assert replace(me, host="elsewhere").is_alive() is None
    assert replace(me, boot="before").is_alive() is None


def test_where_the_system_hides_what_it_takes_only_leases_count() -> None:
    """A container without boot id or process times: nobody is declared dead by guessing."""
    me = this_process()
    assert replace(me, started="").is_alive() is None
    assert replace(me, boot="").is_alive() is None


def test_an_owner_is_left_alone_while_it_lives_and_its_lease_runs() -> None:
    """Dead: replaced at once. Stopped beyond its lease, or silent elsewhere: replaced after it."""
    me = this_process()
    dead = replace(me, started="1")
    remote = ProcessIdentity("elsewhere", "boot", 1, "1")
    assert Owner(me, 100.0).is_living(99.0)
    assert not Owner(me, 100.0).is_living(101.0)
    assert not Owner(dead, 100.0).is_living(99.0)
    assert Owner(remote, 100.0).is_living(99.0)
    # set back by an hour, or by a day: no lease ends so late
    assert not Owner(remote, 100.0).is_living(-3500.0)
    assert not Owner(remote, 100.0).is_living(101.0)
