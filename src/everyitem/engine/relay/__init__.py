"""The relay: events go from the outbox to whoever wants them, in order, each at least once."""

from everyitem.engine.relay.relay import Relay

__all__ = ["Relay"]
