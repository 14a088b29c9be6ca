"""Commands that execute, carried out by a server: hand in, show the progress, print the response."""

import sys
from collections.abc import Sequence
from os import PathLike
from typing import Unpack

import msgspec

from everyitem.compose import Switch
from everyitem.faces.api.conduct import Inbox, conduct
from everyitem.faces.api.options import RunOptions
from everyitem.faces.api.redriving import read_corrections
from everyitem.faces.api.refusal import refusal
from everyitem.faces.api.response import Response
from everyitem.faces.api.views import Status
from everyitem.faces.http.client.client import Client, snapshot_of
from everyitem.model.errors import ContentDiffers, DocumentRefused, EveryitemError, UsageError
from everyitem.model.status import AT_REST


class Detached(EveryitemError):
    """A signal ended the waiting; the server goes on."""

    def __init__(self, status: Status) -> None:
        super().__init__(f"batch {status.batch_id!r} goes on without this command")
        #: Where it stood.
        self.status = status


class RemoteExecutor:
    """What a `Session` does when it executes, done by a server."""

    #: Metrics are the server's.
    metrics_address = None

    def __init__(self, client: Client, inbox: Inbox, *, log_format: str) -> None:
        self._client, self._inbox, self.log_format = client, inbox, log_format

    def close(self) -> None:
        """Close the client."""
        self._client.close()

    def causes(self, batch_id: str, *, execution: int | None = None) -> Sequence[tuple[str, int]]:
        """How many items failed for which reason, the most frequent first."""
        return self._client.causes(batch_id, execution=execution)

    def run(
        self,
        batch: str,
        *,
        items: str | PathLike[str] | None = None,
        rerun: bool = False,
        **options: Unpack[RunOptions],
    ) -> Response:
        """Hand a document in and wait for the response."""
        if items is not None:
            raise UsageError("--items does not go with --server: put the items into the document")
        document = sys.stdin.buffer.read() if batch == "-" else batch
        try:
            submitted = self._client.submit(document, rerun=rerun, **_wanted(options))
        except (DocumentRefused, ContentDiffers) as error:
            return refusal(error)
        response = self._wait(submitted.batch_id, submitted.execution, submitted.state, options)
        response.attached |= not submitted.known
        response.warnings += submitted.warnings
        return response

    def resume(
        self,
        batch_id: str,
        *,
        execution: int | None = None,
        accept_damage: bool = False,
        for_service: bool = False,
        **options: Unpack[RunOptions],
    ) -> Response:
        """Let an execution go on, and wait for the response."""
        if accept_damage:
            raise UsageError("--accept-damage does not go with --server: give the command beside the store")
        _refuse(_wanted(options), "resume")
        status = self._client.resume(batch_id, execution=execution)
        return self._wait(batch_id, status.execution, status.state, options)

    def redrive(
        self,
        batch_id: str,
        *,
        execution: int | None = None,
        error: str | None = None,
        item_ids: Sequence[str] = (),
        items: str | PathLike[str] | None = None,
        **options: Unpack[RunOptions],
    ) -> Response:
        """Let failed items run again, and wait for the response."""
        _refuse(_wanted(options), "redrive")
        corrected = None if items is None else read_corrections(items, None)
        status = self._client.redrive(
            batch_id,
            execution=execution,
            error=error,
            item_ids=item_ids,
            items=corrected and {name: msgspec.Raw(text) for name, text in corrected.items()},
        )
        return self._wait(batch_id, status.execution, status.state, options)

    def rerun(
        self, batch_id: str, *, execution: int | None = None, **options: Unpack[RunOptions]
    ) -> Response:
        """Let a stored batch be executed once more, and wait for the response."""
        _refuse(_wanted(options), "rerun")
        status = self._client.rerun(batch_id, execution=execution)
        return self._wait(batch_id, status.execution, status.state, options)

    def _wait(self, batch_id: str, execution: int, state: str, options: RunOptions) -> Response:
        """The response, once there is one; a signal ends the waiting and nothing else."""
        switch, listener = options.get("switch") or Switch(), options.get("on_progress")
        was_at_work = state not in AT_REST

        def tell(status: Status) -> None:
            nonlocal was_at_work
            was_at_work |= status.state not in AT_REST
            if switch.take() is not None:
                raise Detached(status)
            if listener is not None:
                listener(snapshot_of(status))

        response = conduct(
            lambda: self._client.wait(batch_id, execution=execution, on_status=tell),
            switch,
            inbox=self._inbox,
        )
        response.attached = was_at_work
        return response


def _wanted(options: RunOptions) -> dict[str, object]:
    """What a server may be asked for with a document.

    Raises:
        UsageError: an option only who executes can have.
    """
    if options.get("processors"):
        raise UsageError("--processors does not go with --server: the server has its own")
    named = ("nodes", "parallelism", "checkpoint_interval", "max_retries", "timeout_hours")
    return {name: options[name] for name in named if name in options}  # type: ignore[literal-required]


def _refuse(wanted: dict[str, object], command: str) -> None:
    if wanted:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in wanted)
        raise UsageError(f"{names}: a server takes no options with {command}")
