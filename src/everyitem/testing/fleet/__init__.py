"""How far one coordinator carries: the engine's real decisions and thousands of virtual nodes."""

from everyitem.testing.fleet.findings import Findings
from everyitem.testing.fleet.fleet import Fleet
from everyitem.testing.fleet.setting import Setting

__all__ = ["Findings", "Fleet", "Setting"]
