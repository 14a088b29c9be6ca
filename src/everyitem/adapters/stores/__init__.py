"""Stores: where executions and everything recorded of them is kept. `open_store` finds the right one."""

from everyitem.adapters.stores.opening import open_store

__all__ = ["open_store"]
