"""Where the started-items file of an execution lies."""

import hashlib
from pathlib import Path

_FILES = "sqlite:///"


def started_path(store_url: str, execution_key: int, data_directory: Path) -> Path:
    """Beside the store; for one that is no file in the user's data directory, by store and execution.

    There the store's URL appears as a digest only: it may hold a password.
    """
    if store_url.startswith(_FILES):
        store = Path(store_url.removeprefix(_FILES))
        return store.with_name(f"{store.name}.started-{execution_key}")
    digest = hashlib.sha256(store_url.encode()).hexdigest()[:16]
    return data_directory / "started" / f"{digest}-{execution_key}"
