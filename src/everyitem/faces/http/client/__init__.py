"""A typed client of the HTTP API; needs nothing but the standard library and msgspec."""

from everyitem.faces.http.client.client import Client, connect

__all__ = ["Client", "connect"]
