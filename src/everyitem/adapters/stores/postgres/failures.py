"""What PostgreSQL's errors mean for the user of a store."""

import msgspec
import psycopg
from psycopg import errors

from everyitem.adapters.stores.postgres.place import Place
from everyitem.model.errors import StoreDamaged, StoreError, StoreFull, StoreRefused

#: What reading from a server raises; the last two for values that are not what was written.
FAULTS = (psycopg.Error, UnicodeDecodeError, msgspec.DecodeError)

_DAMAGED = (errors.DataCorrupted, errors.IndexCorrupted)
_REFUSED = (errors.InsufficientPrivilege, errors.InvalidAuthorizationSpecification)
#: The server takes no writes at the moment: a standby, or one that is being switched over.
_READ_ONLY = (errors.ReadOnlySqlTransaction,)
#: What was there when the store was opened is not any more.
_GONE = (errors.UndefinedTable, errors.InvalidSchemaName, errors.InvalidCatalogName)


def translated(error: Exception, place: Place) -> StoreError:
    """The store error that says what happened, and what to do."""
    if not isinstance(error, psycopg.Error):
        return StoreDamaged(f"store {place}: holds what nobody wrote ({error}); restore it from a backup")
    what = _message(error)
    match error:
        case errors.DiskFull():
            return StoreFull(f"store {place}: the server has no space left ({what}); free some, then resume")
        case _ if isinstance(error, _DAMAGED):
            return StoreDamaged(f"store {place}: the database is damaged ({what}); restore it from a backup")
        case _ if isinstance(error, _REFUSED):
            return StoreRefused(f"store {place}: {what}; grant the role what docs/stores.md lists")
        case _ if isinstance(error, _READ_ONLY):
            return StoreError(f"store {place}: the server takes no writes ({what}); name the primary")
        case _ if isinstance(error, _GONE):
            return StoreError(f"store {place}: the tables are gone ({what}); restore the database")
        case psycopg.OperationalError():
            return StoreError(f"store {place}: {what}; check the server and the way to it")
        case _:
            return StoreError(f"store {place}: {what}")


def _message(error: psycopg.Error) -> str:
    primary = error.diag.message_primary
    lines = [line.strip() for line in (primary or str(error)).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
