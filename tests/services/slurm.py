"""A real SLURM on this machine: controller, one node, and munge between them. Needs root."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services.debian import need

_FOLDER = Path("/var/spool/everyitem-slurm")
_PATIENCE = 30.0

_CONFIGURATION = """
ClusterName=everyitem
SlurmctldHost={host}(127.0.0.1)
AuthType=auth/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/controller
SlurmdSpoolDir={folder}/node
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory=4000 State=UNKNOWN
PartitionName=debug Nodes={host} Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:4
"""


class Slurm:
    """A cluster of one node that takes jobs."""

    def jobs(self) -> list[str]:
        """What is queued or runs."""
        return _run("squeue", "--noheader", "--states", "PENDING,RUNNING").split("\n")[:-1]


@contextlib.contextmanager
def running_slurm() -> Iterator[Slurm]:
    """SLURM for as long as the context lasts; skips where it cannot be had."""
    pytest.importorskip("dask_jobqueue")
    need("slurmctld", packages=("slurm-wlm", "munge"))
    if os.geteuid() != 0:
        pytest.skip("SLURM's daemons need root")
    configuration = Path("/etc/slurm/slurm.conf")
    if configuration.exists() and str(_FOLDER) not in configuration.read_text():
        pytest.skip("this machine has a SLURM of its own")
    shutil.rmtree(_FOLDER, ignore_errors=True)
    for name in ("controller", "node"):
        (_FOLDER / name).mkdir(parents=True)
    host = socket.gethostname().partition(".")[0]
    configuration.parent.mkdir(exist_ok=True)
    configuration.write_text(_CONFIGURATION.format(host=host, folder=_FOLDER, cores=os.cpu_count()))
    daemons = [_munge(), _start("slurmctld", "-D"), _start("slurmd", "-D")]
    try:
        deadline = time.monotonic() + _PATIENCE
        while "idle" not in _run("sinfo", "--noheader", check=False):
            assert time.monotonic() < deadline, _run("sinfo", check=False)
            time.sleep(0.2)
        yield Slurm()
    finally:
        for daemon in reversed(daemons):
            if daemon is not None:
                daemon.terminate()
                daemon.wait(_PATIENCE)
        configuration.unlink()
        shutil.rmtree(_FOLDER, ignore_errors=True)


def _munge() -> "subprocess.Popen[bytes] | None":
    """munge, which signs what SLURM's parts say to each other; None where it runs already."""
    if _run("munge", "-n", check=False):
        return None
    if not Path("/etc/munge/munge.key").exists():
        _run("mungekey", "-c")
    Path("/run/munge").mkdir(exist_ok=True)
    _run("chown", "-R", "munge:", "/etc/munge", "/run/munge", "/var/log/munge", "/var/lib/munge")
    return _start("su", "-s", "/bin/sh", "munge", "-c", "exec munged --foreground")


def _start(*command: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _run(*command: str, check: bool = True) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=check).stdout
