"""What anybody may know of a server."""

import json
from types import SimpleNamespace

from tests.services.asgi import asked

from everyitem.faces.service.views import Health


def health(*obstacles: str) -> Health:
    return Health(
        ready=not obstacles,
        obstacles=obstacles,
        running=0,
        waiting=0,
        cores=1.0,
        memory_mb=1,
        batches=1,
        services=1,
    )


def test_who_asks_whether_it_is_ready_learns_that_and_no_more() -> None:
    """What is in the way may name hosts, paths and lines of code, and anybody may ask."""
    obstacle = "store postgresql://db.internal/batches: no route to host"
    service = SimpleNamespace(health=lambda: health(obstacle))
    start, body = asked("/readyz", service)
    assert start["status"] == 503
    assert "internal" not in str(body["body"])
    _, told = asked("/v1/service", service)
    assert json.loads(told["body"])["obstacles"] == [obstacle]


def test_a_server_with_nothing_in_its_way_is_ready() -> None:
    """Whoever sends requests may send them here."""
    start, body = asked("/readyz", SimpleNamespace(health=health))
    assert (start["status"], json.loads(body["body"])["status"]) == (200, "ready")
