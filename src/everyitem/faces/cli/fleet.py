"""`everyitem simulate --nodes N`: how far one coordinator carries, as a table or as JSON."""

import time
from typing import TYPE_CHECKING

import msgspec

from everyitem.faces.cli.terminal import is_for_people, note, print_json, print_table

if TYPE_CHECKING:
    from everyitem.testing.fleet import Findings, Setting

#: Real seconds between two lines about how far it is.
_PATIENCE = 5.0


def show_fleet(setting: "Setting", *, as_json: bool) -> None:
    """Play one batch on a fleet and show what it found."""
    from everyitem.testing.fleet import Fleet

    findings = Fleet(setting, told=_Progress(setting.items).tell).run()
    if not is_for_people(as_json=as_json):
        print_json(msgspec.json.encode(_document(findings)))
        return
    print_table(["", ""], _rows(findings), right=[1])


class _Progress:
    """Says how far it is, now and then."""

    def __init__(self, items: int) -> None:
        self._items = items
        self._next = time.monotonic() + _PATIENCE

    def tell(self, done: int, virtual_seconds: float) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _PATIENCE
            share = done / max(1, self._items)
            note(f"{done:,} of {self._items:,} items ({share:.0%}) in {virtual_seconds:,.2f} virtual seconds")


def _document(findings: "Findings") -> dict[str, object]:
    """Names as in the responses; times in the unit of their names."""
    return {
        "nodes": findings.nodes,
        "workers": findings.workers,
        "nodesLost": findings.nodes_lost,
        "items": findings.items,
        "itemsSuccessful": findings.succeeded,
        "itemsFailed": findings.failed,
        "makespanSeconds": round(findings.makespan, 6),
        "idealSeconds": round(findings.ideal, 6),
        "efficiency": round(findings.efficiency, 4),
        "slices": findings.slices,
        "steals": findings.steals,
        "recalls": findings.recalls,
        "checkpoints": findings.checkpoints,
        "messages": findings.messages,
        "decidingSeconds": round(findings.deciding, 3),
        "microsecondsPerItem": round(findings.microseconds_per_item, 4),
        "microsecondsPerMessage": round(findings.microseconds_per_message, 2),
        "coordinatorLoad": round(findings.load, 4),
        "saturatesAtNodes": findings.saturates_at,
        "memoryGrownBytes": findings.memory_grown,
        "memoryBeyondLedgerBytes": findings.memory_beyond_ledger,
        "simulatingSeconds": round(findings.simulating, 3),
    }


def _rows(findings: "Findings") -> list[tuple[str, str]]:
    lost = f", {findings.nodes_lost:,} of them lost" if findings.nodes_lost else ""
    return [
        ("nodes", f"{findings.nodes:,} with {findings.workers:,} workers{lost}"),
        ("items", f"{findings.items:,}, {findings.succeeded + findings.failed:,} of them with an outcome"),
        ("makespan (virtual)", f"{findings.makespan:,.2f} s, at best {findings.ideal:,.2f} s"),
        ("workers busy", f"{findings.efficiency:.1%}"),
        ("slices", f"{findings.slices:,}"),
        ("steals between nodes", f"{findings.steals:,}"),
        ("slices taken back", f"{findings.recalls:,}"),
        ("checkpoints", f"{findings.checkpoints:,}"),
        ("scheduling", f"{findings.microseconds_per_item:.3f} µs per item"),
        ("", f"{findings.microseconds_per_message:.1f} µs per message, {findings.messages:,} messages"),
        ("coordinator deciding", f"{findings.load:.1%} of the makespan"),
        ("saturates at", f"{findings.saturates_at:,} nodes"),
        ("memory", f"{findings.memory_beyond_ledger / 1e6:,.1f} MB beside one byte per item"),
    ]
