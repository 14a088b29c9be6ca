"""Is the store of a session fit for batches? Where it is a file: its disk; where it is on a server: that."""

import os
import shutil
import stat
from pathlib import Path

import psutil

from everyitem import compose
from everyitem.faces.api.machine import Check, fault, ok, warning
from everyitem.faces.api.session import Session
from everyitem.model.errors import EveryitemError, StoreTooNew, UsageError
from everyitem.model.store_url import shown_url
from everyitem.model.wording import many
from everyitem.ports.store_server import StoreServer

_MB = 1 << 20
#: File systems whose locks and shared mappings a WAL database cannot trust.
_NETWORK_FILE_SYSTEMS = {
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "afs",
    "ceph",
    "glusterfs",
    "fuse.sshfs",
}
#: Seconds of difference between two clocks that are worth a word; leases go by the server's alone.
_CLOCKS_DIFFER = 60.0
#: Milliseconds of a round trip from which checkpoints are felt.
_SLOW = 50.0


def examine_store(session: Session) -> list[Check]:
    """All checks of the store, in the order one should read them."""
    try:
        server = compose.examine_server(session.store_url)
    except EveryitemError as error:
        return [fault("server", str(error), "start the server, or choose another --store")]
    if server is not None:
        return [*check_server(server), check_store(session)]
    folder = _store_folder(session.store_url)
    privacy = check_privacy(_store_path(session.store_url))
    return [check_disk(folder), check_file_system(folder), check_store(session), *privacy]


def check_server(server: StoreServer) -> list[Check]:
    """Its version, whether it keeps what it confirms, the way to it, and its clock."""
    return [_check_version(server), _check_care(server), _check_way(server), _check_clocks(server)]


def _check_version(server: StoreServer) -> Check:
    if not server.supported:
        return warning(
            "server", server.version, "use a version its makers still mend; this one was not tried"
        )
    return ok("server", server.version)


def _check_care(server: StoreServer) -> Check:
    if server.careless:
        off = " and ".join(server.careless)
        return warning(
            "durability",
            f"{off} switched off",
            f"switch {off} on: a power cut may take checkpoints the server has confirmed",
        )
    return ok("durability", "the server keeps what it confirms")


def _check_way(server: StoreServer) -> Check:
    where = f"{server.host or 'this machine'}, {server.round_trip_ms:.1f} ms"
    if not (server.local or server.encrypted):
        return warning(
            "connection",
            f"{where}, not encrypted",
            "encrypt it with sslmode=verify-full in the URL: items, results and the password are sent",
        )
    if server.round_trip_ms > _SLOW:
        return warning(
            "connection", where, "run nearer to the server: every checkpoint takes about six round trips"
        )
    return ok("connection", where + (", encrypted" if server.encrypted else ""))


def _check_clocks(server: StoreServer) -> Check:
    found = f"{server.clock_ahead:+.1f} s from this machine's"
    if abs(server.clock_ahead) > _CLOCKS_DIFFER:
        return warning("server's clock", found, "set both clocks (NTP): printed times do not fit together")
    return ok("server's clock", found)


def check_disk(folder: Path) -> Check:
    """Free space where the store is, or will be."""
    usage = shutil.disk_usage(folder)
    found = f"{usage.free // _MB:,} MB free at {folder}"
    if usage.free < 64 * _MB:
        return fault(
            "disk",
            found,
            "free at least 64 MB or choose another place with --store; checkpoints could not be written",
        )
    if usage.free < 1024 * _MB:
        return warning(
            "disk",
            found,
            "a batch needs about twice the size of its items and results; make sure that fits",
        )
    return ok("disk", found)


def check_file_system(folder: Path) -> Check:
    """What kind of file system the store lies on, and whether one may write there."""
    kind = file_system_of(folder)
    if not os.access(folder, os.W_OK):
        return fault(
            "file system",
            f"{folder} is not writable",
            "change its permissions or choose another place with --store",
        )
    if kind in _NETWORK_FILE_SYSTEMS:
        return warning(
            "file system",
            f"{kind}, a network file system",
            "put the store on a local disk: locks over the network are not to be relied on",
        )
    if kind in ("tmpfs", "ramfs"):
        return warning(
            "file system",
            f"{kind}, kept in memory",
            "a restart of the machine loses the store; put it on a disk if that matters",
        )
    return ok("file system", kind or "unknown")


def check_store(session: Session) -> Check:
    """Whether the store opens, and what is in it."""
    try:
        store = compose.open_store(session.store_url, read_only=True)
    except StoreTooNew as error:
        return fault(
            "store",
            str(error),
            "use the newer everyitem for it, or another store",
        )
    except UsageError as error:
        if _exists(session.store_url):
            return fault("store", str(error), "choose another --store")
        return ok("store", f"{shown_url(session.store_url)} (not there yet; the first batch creates it)")
    except EveryitemError as error:
        return fault("store", str(error), "restore it, or choose another --store")
    try:
        executions = len(store.executions())
    except EveryitemError as error:
        return fault("store", str(error), "restore it, or choose another --store")
    finally:
        store.close()
    return ok("store", f"{shown_url(session.store_url)}, {many(executions, 'execution')}")


def check_privacy(path: Path) -> list[Check]:
    """A warning where others may read the store's file: we make it private, somebody else did not."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return []
    if not mode & (stat.S_IRWXG | stat.S_IRWXO):
        return []
    return [
        warning(
            "privacy",
            f"{path} is open to other users ({stat.filemode(mode)})",
            f"it holds items and results: `chmod go= {path}*`, or put it into a folder of your own",
        )
    ]


def file_system_of(folder: Path) -> str:
    """The type of the file system a folder is on; empty where the system does not say."""
    best, kind = "", ""
    place = str(folder.resolve())
    for mount in psutil.disk_partitions(all=True):
        point = mount.mountpoint.rstrip("/") or "/"
        inside = point in ("/", place) or place.startswith(point + "/")
        if inside and len(point) >= len(best):
            best, kind = point, mount.fstype
    return kind


def _store_path(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///")).expanduser().absolute()


def _store_folder(url: str) -> Path:
    """The nearest existing folder of the place where the store is or will be."""
    folder = _store_path(url).parent
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    return folder


def _exists(url: str) -> bool:
    return ("://" in url and not url.startswith("sqlite:///")) or _store_path(url).exists()
