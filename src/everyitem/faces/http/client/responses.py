"""A response that was fetched from a server."""

from collections.abc import Iterator
from typing import Protocol

from everyitem.faces.api.response import Response
from everyitem.faces.api.views import Failed, ItemResult
from everyitem.ports.store import OnDamage


class ItemsOf(Protocol):
    """Where a response asks for its items: the client that brought it."""

    def results(self, batch_id: str, *, execution: int | None) -> Iterator[ItemResult]: ...

    def failures(self, batch_id: str, *, execution: int | None) -> Iterator[Failed]: ...


class RemoteResponse(Response):
    """`Response` whose items are asked of the server it came from, while its client is open."""

    def __init__(self, document: bytes, client: ItemsOf, *, batch_id: str, execution: int) -> None:
        super().__init__(document, batch_id=batch_id, execution=execution)
        self._client = client
        self._of = (batch_id, execution)

    def results(self, *, on_damage: OnDamage | None = None) -> Iterator[ItemResult]:
        """Every recorded outcome in item order, streamed from the server."""
        return self._client.results(self._of[0], execution=self._of[1])

    def failures(self) -> Iterator[Failed]:
        """The items that count as failed, with the items themselves, in item order."""
        return self._client.failures(self._of[0], execution=self._of[1])
