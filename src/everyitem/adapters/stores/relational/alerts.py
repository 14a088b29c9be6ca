"""`ports.alerts.AlertStore` in tables."""

from collections.abc import Sequence
from typing import Any

import msgspec

from everyitem.adapters.stores.relational.database import Connection
from everyitem.model.alerts import Alert, Silence

_FIELDS = Alert.__struct_fields__
_COLUMNS = ", ".join(_FIELDS)
#: Who acknowledged an alert is written by `acknowledge` alone.
_CHANGED = tuple(name for name in _FIELDS if not name.startswith("acknowledged"))
_SAME_INCIDENT = "batch_id = ? AND execution = ? AND kind = ? AND about = ?"


class TableAlerts:
    """Alerts and silences of one database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, alert: Alert) -> None:
        values = msgspec.structs.asdict(alert)
        incident = (alert.batch_id, alert.execution, alert.kind, alert.about)
        changes = ", ".join(f"{name} = ?" for name in _CHANGED)
        with self._connection.writing() as database:
            if alert.resolved_at is None:
                # another one that stands for the incident stays, and this one is not kept beside it
                other = database.execute(
                    f"SELECT 1 FROM alerts WHERE {_SAME_INCIDENT} AND resolved_at IS NULL AND alert_id <> ?",
                    (*incident, alert.alert_id),
                ).fetchone()
                if other is not None:
                    return
            changed = database.execute(
                f"UPDATE alerts SET {changes} WHERE alert_id = ?",
                (*(values[name] for name in _CHANGED), alert.alert_id),
            )
            if changed.rowcount == 0:
                places = ", ".join("?" * len(_FIELDS))
                database.execute(
                    f"INSERT INTO alerts ({_COLUMNS}) VALUES ({places}) ON CONFLICT DO NOTHING",
                    tuple(values[name] for name in _FIELDS),
                )

    def recent(self, since: float) -> list[Alert]:
        return self._select("WHERE resolved_at IS NULL OR resolved_at > ? ORDER BY raised_at", since)

    def alerts(self, batch_id: str | None = None, *, limit: int = 100) -> list[Alert]:
        if batch_id is None:
            return self._select("ORDER BY raised_at DESC LIMIT ?", limit)
        return self._select("WHERE batch_id = ? ORDER BY raised_at DESC LIMIT ?", batch_id, limit)

    def acknowledge(self, alert_id: str, at: float, by: str) -> bool:
        with self._connection.writing() as database:
            changed = database.execute(
                "UPDATE alerts SET acknowledged_by = CASE WHEN acknowledged_at IS NULL THEN ? "
                "ELSE acknowledged_by END, acknowledged_at = coalesce(acknowledged_at, ?) WHERE alert_id = ?",
                (by, at, alert_id),
            )
            return changed.rowcount == 1

    def silence(self, silence: Silence) -> None:
        with self._connection.writing() as database:
            database.execute(
                "INSERT INTO silences (batch, kind, until, silenced_by, reason) VALUES (?, ?, ?, ?, ?)",
                msgspec.structs.astuple(silence),
            )

    def end_silences(self, at: float) -> int:
        with self._connection.writing() as database:
            return database.execute("DELETE FROM silences WHERE until > ?", (at,)).rowcount

    def silences(self, at: float) -> Sequence[Silence]:
        with self._connection.reading() as database:
            rows = database.execute(
                "SELECT batch, kind, until, silenced_by, reason FROM silences WHERE until > ? ORDER BY until",
                (at,),
            ).fetchall()
        return [
            Silence(batch=batch, kind=kind, until=until, by=by, reason=reason)
            for batch, kind, until, by, reason in rows
        ]

    def close(self) -> None:
        self._connection.close()

    def _select(self, where: str, *values: object) -> list[Alert]:
        with self._connection.reading() as database:
            rows: list[tuple[Any, ...]] = database.execute(
                f"SELECT {_COLUMNS} FROM alerts {where}", values
            ).fetchall()
        return [msgspec.convert(dict(zip(_FIELDS, row, strict=True)), Alert) for row in rows]
