"""Schema migrations: numbered SQL files of each database, and what makes them those of this package."""

import hashlib
from collections.abc import Iterable
from functools import cache
from importlib import resources

import msgspec

from everyitem.model.errors import StoreError, StoreTooNew


class Migration(msgspec.Struct, frozen=True):
    """One step of a schema."""

    version: int
    name: str
    script: str

    @property
    def checksum(self) -> str:
        """SHA-256 (hex) of the script: what was applied must be what is in the package."""
        return hashlib.sha256(self.script.encode()).hexdigest()


@cache
def known_migrations(database: str) -> tuple[Migration, ...]:
    """The migrations of this package for a kind of database (`sqlite`, `postgres`), in order."""
    folder = resources.files("everyitem.adapters.stores") / "sql" / database
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return tuple(
        Migration(int(name.split("_")[0]), name, (folder / name).read_text(encoding="utf-8"))
        for name in names
    )


def refuse_foreign(
    applied: Iterable[tuple[int, str, str]], place: object, migrations: tuple[Migration, ...]
) -> None:
    """Raise unless what was applied (version, name, checksum) is known here.

    `StoreTooNew` for a schema of a newer everyitem, `StoreError` for another script under a known number.
    """
    known = {migration.version: migration.checksum for migration in migrations}
    for version, name, checksum in sorted(applied, reverse=True):
        if version > migrations[-1].version:
            raise StoreTooNew(
                f"store {place}: has schema {version} ({name}), this everyitem knows up to "
                f"{migrations[-1].version}; use the newer everyitem that wrote it"
            )
        if known.get(version) != checksum:
            raise StoreError(
                f"store {place}: its migration {name} is not the one of this everyitem; "
                "it was made by a development version, start with a new store"
            )
