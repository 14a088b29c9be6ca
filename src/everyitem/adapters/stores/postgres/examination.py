"""Looking at a PostgreSQL server: version, way to it, and whether it keeps what it confirms."""

import ipaddress
import time
from contextlib import closing

from everyitem.adapters.stores.postgres.connection import Connection
from everyitem.adapters.stores.postgres.place import find_place
from everyitem.ports.store_server import StoreServer

#: The oldest version PostgreSQL's makers still keep.
_OLDEST = 140_000

_ASK = """
SELECT current_setting('fsync'), current_setting('full_page_writes'),
    CAST(extract(epoch FROM clock_timestamp()) AS DOUBLE PRECISION)
"""


def examine(url: str) -> StoreServer:
    """Ask the server a store URL names. Raises `UsageError` and `StoreError` as opening the store does."""
    place = find_place(url)
    with closing(Connection(place, read_only=True)) as connection, connection.reading() as database:
        database.execute("SELECT 1").fetchone()
        asked = time.time()
        fsync, full_page_writes, clock = database.execute(_ASK).fetchone() or ("", "", asked)
        answered = time.time()
        session = connection.session()
        info = session.info
        version = info.server_version
        switches = {"fsync": fsync, "full_page_writes": full_page_writes}
        return StoreServer(
            version=f"PostgreSQL {version // 10_000}.{version % 10_000}",
            supported=version >= _OLDEST,
            host=info.host,
            local=is_local(info.host, info.hostaddr),
            encrypted=bool(session.pgconn.ssl_in_use),
            careless=tuple(name for name, value in switches.items() if value == "off"),
            round_trip_ms=(answered - asked) * 1000,
            clock_ahead=clock - (asked + answered) / 2,
        )


def is_local(host: str, address: str) -> bool:
    """Whether a connection stays on this machine: a Unix socket, or an address of loopback."""
    if host.startswith(("/", "@")) or not (host or address):
        return True
    try:
        return ipaddress.ip_address(address or host).is_loopback
    except ValueError:
        return False
