"""The response to a batch, as `run` returns it: the specification's document with typed access."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import msgspec

from everyitem import compose
from everyitem.faces.api.views import Failed, ItemResult
from everyitem.ports.store import OnDamage


class Response:
    """A `SUCCESS` or `ERROR` response (contract section 2) and the way to the items behind it.

    An `ERROR` is a value, not an exception: look at `status`, or call `raise_for_error`.
    """

    def __init__(
        self,
        document: bytes,
        *,
        store_url: str | None = None,
        batch_id: str | None = None,
        execution: int | None = None,
        execution_key: int | None = None,
        fresh: bool = False,
        attached: bool = False,
        may_pass: bool = False,
        warnings: Sequence[str] = (),
    ) -> None:
        self._document = document
        self._store_url, self._execution_key = store_url, execution_key
        #: None when the document was refused before it had one.
        self.batch_id = batch_id
        #: Number of the execution; None when the document was refused and nothing was stored.
        self.execution = execution
        #: Whether this call executed items; False for a recorded response.
        self.fresh = fresh
        #: Whether another process executed while this one waited.
        self.attached = attached
        #: Nothing was stored, for its items cannot be read now: later they may be.
        self.may_pass = may_pass
        #: Things worth knowing that did not stop the batch.
        self.warnings = tuple(warnings)

    @cached_property
    def _decoded(self) -> dict[str, Any]:
        decoded: dict[str, Any] = msgspec.json.decode(self._document)
        return decoded

    @property
    def status(self) -> str:
        """`SUCCESS` (also with failed items) or `ERROR`."""
        return str(self._decoded["status"])

    @property
    def ok(self) -> bool:
        """Whether the batch was carried out to the end and no item failed."""
        return self.status == "SUCCESS" and not self.items_failed

    @property
    def error_code(self) -> str | None:
        """One of the specification's five codes; None for a `SUCCESS`."""
        return self._decoded.get("errorCode")

    @property
    def error_message(self) -> str | None:
        """What went wrong, in a sentence; None for a `SUCCESS`."""
        return self._decoded.get("errorMessage")

    @property
    def details(self) -> Mapping[str, list[str]]:
        """An `ERROR`'s lists `systemErrors`, `resourceErrors`, `dataErrors`, `timeoutErrors`; else empty."""
        details: Mapping[str, list[str]] = self._decoded.get("details", {})
        return details

    @property
    def results_summary(self) -> Mapping[str, Any]:
        """`executionResults` of the document; empty when execution never began."""
        found: Mapping[str, Any] = self._part("executionResults")
        return found

    @property
    def metadata(self) -> Mapping[str, Any]:
        """`executionMetadata` of the document: duration, parallelism, checkpoints, checks; may be empty."""
        found: Mapping[str, Any] = self._part("executionMetadata")
        return found

    @property
    def items_processed(self) -> int | None:
        """Items with an outcome; None when execution never began."""
        return self.results_summary.get("itemsProcessed")

    @property
    def items_successful(self) -> int | None:
        """Items with a result; None when execution never began."""
        return self.results_summary.get("itemsSuccessful")

    @property
    def items_failed(self) -> int | None:
        """Items that failed for good; None when execution never began."""
        return self.results_summary.get("itemsFailed")

    @property
    def success_rate(self) -> float | None:
        """Successful of processed, 6 decimals, 1 only without failures; None when execution never began."""
        return self.results_summary.get("successRate")

    def results(self, *, on_damage: OnDamage | None = None) -> Iterator[ItemResult]:
        """Every recorded outcome in item order, streamed from the store; none for a refused document.

        Raises `StoreDamaged` when a checkpoint is damaged; with `on_damage` each one is told to it instead,
        and its items are left out.
        """
        if self._store_url is not None and self._execution_key is not None:
            store = compose.open_store(self._store_url, read_only=True)
            try:
                yield from map(ItemResult.of, store.outcomes(self._execution_key, on_damage=on_damage))
            finally:
                store.close()

    def failures(self) -> Iterator[Failed]:
        """The items that count as failed, with the items themselves, in item order."""
        if self._store_url is not None and self._execution_key is not None:
            store = compose.open_store(self._store_url, read_only=True)
            try:
                yield from map(Failed.of, store.failures(self._execution_key, with_items=True))
            finally:
                store.close()

    def raise_for_error(self) -> "Response":
        """Return this response if it is a `SUCCESS`.

        Raises:
            RuntimeError: it is an `ERROR`; the text is its code and message.
        """
        if self.status == "ERROR":
            raise RuntimeError(f"{self.error_code}: {self.error_message}")
        return self

    def to_dict(self) -> dict[str, Any]:
        """The response document as plain Python values."""
        decoded: dict[str, Any] = msgspec.json.decode(self._document)
        return decoded

    def to_json(self) -> str:
        """The response document as JSON text."""
        return self._document.decode("utf-8")

    def __repr__(self) -> str:
        what = self.error_code or f"{self.items_successful} of {self.items_processed} succeeded"
        return f"<Response {self.batch_id!r}: {self.status}, {what}>"

    def _part(self, name: str) -> Any:
        return self._decoded.get(name) or self._decoded.get("result", {}).get(name) or {}
