"""A web server for sources to ask."""

from tests.services.web import web

__all__ = ["web"]
