"""Machines of our own: network namespaces with an address each, on a bridge, and certificates for them.

Needs root, `ip` and `openssl`.
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

_NETWORK = "10.213.77"


class NamespacesMissing(Exception):
    """This machine makes no network namespaces for us; says why."""


class Hosts:
    """Some hosts on a network of their own; the first address is ours."""

    def __init__(self, count: int) -> None:
        tag = uuid.uuid4().hex[:6]
        self._bridge = f"ev{tag}"
        self.names = [f"ev{tag}-{number}" for number in range(count)]
        self.ours = f"{_NETWORK}.1"
        self.addresses = [f"{_NETWORK}.{number + 10}" for number in range(count)]
        try:
            self._make()
        except BaseException:
            self.close()
            raise

    def _make(self) -> None:
        _ip("link", "add", self._bridge, "type", "bridge")
        _ip("addr", "add", f"{self.ours}/24", "dev", self._bridge)
        _ip("link", "set", self._bridge, "up")
        for number, (name, address) in enumerate(zip(self.names, self.addresses, strict=True)):
            outside, inside = f"{self._bridge}o{number}", f"{self._bridge}i{number}"
            _ip("netns", "add", name)
            _ip("link", "add", outside, "type", "veth", "peer", "name", inside)
            _ip("link", "set", outside, "master", self._bridge, "up")
            _ip("link", "set", inside, "netns", name)
            _ip("-n", name, "addr", "add", f"{address}/24", "dev", inside)
            _ip("-n", name, "link", "set", inside, "up")
            _ip("-n", name, "link", "set", "lo", "up")

    def unplug(self, number: int) -> None:
        """Cut a host off, as pulling its cable does: no packet says that it is gone."""
        _ip("link", "set", f"{self._bridge}o{number}", "down")

    def close(self) -> None:
        """Take the hosts away; whatever still runs there loses its network."""
        for name in self.names:
            with contextlib.suppress(NamespacesMissing):
                _ip("netns", "del", name)
        with contextlib.suppress(NamespacesMissing):
            _ip("link", "del", self._bridge)


def _ip(*arguments: str) -> None:
    ran = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if ran.returncode:
        raise NamespacesMissing(f"ip {' '.join(arguments)}: {ran.stderr.strip()}")


@contextlib.contextmanager
def running_hosts(count: int) -> Iterator[Hosts]:
    """Some hosts; raises `NamespacesMissing` where there can be none."""
    missing = [tool for tool in ("ip", "openssl") if shutil.which(tool) is None]
    if missing or os.geteuid() != 0:
        raise NamespacesMissing(f"needs root and {', '.join(missing) or 'nothing else'}")
    hosts = Hosts(count)
    try:
        yield hosts
    finally:
        hosts.close()


@contextlib.contextmanager
def certificates() -> Iterator[dict[str, str]]:
    """An authority and one certificate of it, as Dask's variables for scheduler, worker and client."""
    folder = Path(tempfile.mkdtemp(prefix="everyitem-tls-"))
    ca, ca_key = folder / "ca.pem", folder / "ca.key"
    key, request, certificate = folder / "key.pem", folder / "request.pem", folder / "certificate.pem"
    _openssl(
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=tests",
        "-keyout",
        ca_key,
        "-out",
        ca,
    )
    _openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=dask", "-keyout", key, "-out", request)
    _openssl(
        "x509",
        "-req",
        "-days",
        "2",
        "-in",
        request,
        "-CA",
        ca,
        "-CAkey",
        ca_key,
        "-CAcreateserial",
        "-out",
        certificate,
    )
    prefix = "DASK_DISTRIBUTED__COMM__TLS__"
    found = {f"{prefix}CA_FILE": str(ca)}
    for role in ("SCHEDULER", "WORKER", "CLIENT"):
        found |= {f"{prefix}{role}__CERT": str(certificate), f"{prefix}{role}__KEY": str(key)}
    try:
        yield found
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], capture_output=True, check=True)
