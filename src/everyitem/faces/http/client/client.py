"""The client: the methods of a session, carried out by a server."""

import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from types import TracebackType
from typing import IO, Any, Self, TypeVar

import msgspec

from everyitem.engine.progress import Snapshot
from everyitem.faces.api.explanation import Explanation
from everyitem.faces.api.incoming import Receipt, Taken
from everyitem.faces.api.views import Checkpoint, Deed, Event, Failed, ItemResult, Status, Verification
from everyitem.faces.http.client.responses import RemoteResponse
from everyitem.faces.http.client.transport import TIMEOUT, Transport, segment
from everyitem.model.errors import DocumentRefused, UsageError, WrongState
from everyitem.model.status import AT_REST
from everyitem.ports.store import OnDamage

#: A batch to be submitted: the path of a document, its bytes, or a dict.
Document = str | PathLike[str] | bytes | Mapping[str, Any]

#: Seconds between two looks while waiting.
LOOK_EVERY = 0.5
_PAGE = 1000

#: Where the token is taken from when none is given.
TOKEN_VARIABLE = "EVERYITEM_API_TOKEN"  # noqa: S105 - the variable's name is no secret

Shape = TypeVar("Shape")


class _Causes(msgspec.Struct):
    class Cause(msgspec.Struct):
        cause: str
        items: int

    causes: list[Cause]


class _BatchPage(msgspec.Struct, rename="camel"):
    batches: list[Status]
    next_cursor: str | None


class _FailedItems(msgspec.Struct, rename="camel"):
    failures: list[Failed]
    next_after: int | None


class _Checkpoints(msgspec.Struct):
    checkpoints: list[Checkpoint]


class _Deeds(msgspec.Struct):
    deeds: list[Deed]


class _Events(msgspec.Struct):
    events: list[Event]


class _Receipts(msgspec.Struct):
    receipts: list[Receipt]


class Submitted(msgspec.Struct, frozen=True, rename="camel"):
    """What became of a document that was sent."""

    batch_id: str
    execution: int
    #: Whether the same content was here before.
    known: bool
    state: str
    queue_position: int | None = None
    expected_start: str | None = None
    warnings: tuple[str, ...] = ()


class Client:
    """What one can do with a server; the methods of `Session`, by name and meaning. Use it from one thread.

    Raises what a session raises, and `ServerError` where the server cannot be reached or cannot answer.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.store_url = transport.url

    #: Nobody's store is shown to who works on a server.
    is_default_store = False
    warnings: tuple[str, ...] = ()

    def close(self) -> None:
        """Free the connection."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ------------------------------------------------------------- execute

    def submit(self, batch: Document, *, rerun: bool = False, **options: object) -> Submitted:
        """Hand a batch in and return at once; the same content again finds the execution there is.

        `options` win over the document: `parallelism`, `nodes`, `checkpoint_interval`, `max_retries`,
        `timeout_hours`.

        Raises:
            DocumentRefused: the document is not acceptable; carries all problems.
            ContentDiffers: another content was accepted under this `batchId`.
        """
        query = {_camel(name): value for name, value in options.items() if value is not None}
        if rerun:
            query["rerun"] = "true"
        with _opened(batch) as document:
            _, body = self._transport.upload("/v1/batches", document, **query)
        return msgspec.json.decode(body, type=Submitted)

    def push(self, events: bytes) -> Sequence[Receipt]:
        """Send CloudEvents: one, an array of them, or one on each line; what became of each."""
        try:
            _, answer = self._transport.upload("/v1/events", events)
        except DocumentRefused as refused:
            return [
                Receipt(number=number, state=Taken.REFUSED, reason=problem.message)
                for number, problem in enumerate(refused.problems, start=1)
            ]
        return msgspec.json.decode(answer, type=_Receipts).receipts

    def wait(
        self,
        batch_id: str,
        *,
        execution: int | None = None,
        timeout: float | None = None,
        on_status: Callable[[Status], None] | None = None,
    ) -> RemoteResponse:
        """The response of an execution, once it has one.

        `timeout` is in seconds; `on_status` is told where it stands about twice a second.

        Raises:
            TimeoutError: there is none in time; the execution goes on.
        """
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            status = self.status(batch_id, execution=execution)
            if on_status is not None:
                on_status(status)
            if status.state in AT_REST and (found := self.response(batch_id, execution=status.execution)):
                return found
            if until is not None and time.monotonic() >= until:
                raise TimeoutError(f"batch {batch_id!r} is {status.state} after {timeout:g} s")
            time.sleep(LOOK_EVERY)

    def resume(self, batch_id: str, *, execution: int | None = None) -> Status:
        """Go on with an execution that was stopped, paused, cancelled or ended with an `ERROR`."""
        return self._post(batch_id, "resume", execution=execution)

    def redrive(
        self,
        batch_id: str,
        *,
        execution: int | None = None,
        error: str | None = None,
        item_ids: Sequence[str] = (),
        items: Mapping[str, Any] | None = None,
    ) -> Status:
        """Run failed items again: all, those whose failure contains `error`, or those named.

        `items` gives corrected payloads by item id; only these run.
        """
        wish = {"error": error, "itemIds": list(item_ids) or None, "items": items}
        said = {name: value for name, value in wish.items() if value is not None}
        return self._post(batch_id, "redrive", said or None, execution=execution)

    def rerun(self, batch_id: str, *, execution: int | None = None) -> Status:
        """Execute a stored batch once more from the beginning, as its next execution."""
        return self._post(batch_id, "rerun", execution=execution)

    # ------------------------------------------------------------- steer

    def pause(self, batch_id: str, *, execution: int | None = None) -> Status:
        """Let an execution rest."""
        return self._post(batch_id, "pause", execution=execution)

    def cancel(self, batch_id: str, *, execution: int | None = None) -> Status:
        """Cancel an execution; `resume` may still go on with it."""
        return self._post(batch_id, "cancel", execution=execution)

    def resize(self, batch_id: str, parallelism: int, *, execution: int | None = None) -> Status:
        """Change how many items of an execution run at once."""
        path = self._path(batch_id, "resources")
        body = self._transport.send("PATCH", path, {"parallelism": parallelism}, execution=execution)
        return msgspec.json.decode(body, type=Status)

    def set_priority(self, batch_id: str, priority: str, *, execution: int | None = None) -> Status:
        """Change the priority of an execution that waits or runs."""
        path = self._path(batch_id, "priority")
        body = self._transport.send("PATCH", path, {"priority": priority}, execution=execution)
        return msgspec.json.decode(body, type=Status)

    def settle(
        self,
        batch_id: str,
        item_id: str,
        *,
        succeeded: bool = False,
        failed: bool = False,
        again: bool = False,
        result: Any = None,
        reason: str = "",
        execution: int | None = None,
    ) -> Status:
        """Say what became of an item in doubt: exactly one of `succeeded`, `failed` and `again`."""
        made = [
            name for name, is_made in
            (("succeeded", succeeded), ("failed", failed), ("again", again)) if is_made
        ]  # fmt: skip
        if len(made) != 1:
            raise UsageError("say what became of the item: exactly one of succeeded, failed or again")
        wish = {"decision": made[0], "result": result, "reason": reason}
        body = self._transport.send(
            "POST", self._path(batch_id, "items", item_id, "settle"), wish, execution=execution
        )
        return msgspec.json.decode(body, type=Status)

    # ------------------------------------------------------------- look

    def list(self) -> Sequence[Status]:
        """Every execution, newest first."""
        found: list[Status] = []
        cursor = None
        while True:
            page = self._get(_BatchPage, "/v1/batches", limit=_PAGE, cursor=cursor)
            found += page.batches
            cursor = page.next_cursor
            if cursor is None:
                return found

    def status(self, batch_id: str, *, execution: int | None = None) -> Status:
        """Where an execution stands."""
        return self._get(Status, self._path(batch_id), execution=execution)

    def snapshot(self, batch_id: str, *, execution: int | None = None) -> Snapshot:
        """The progress of an execution as displays show it."""
        status = self.status(batch_id, execution=execution)
        return snapshot_of(status)

    def causes(self, batch_id: str, *, execution: int | None = None) -> Sequence[tuple[str, int]]:
        """How many items failed for which reason, the most frequent first."""
        found = self._get(_Causes, self._path(batch_id, "causes"), execution=execution)
        return [(one.cause, one.items) for one in found.causes]

    def response(self, batch_id: str, *, execution: int | None = None) -> RemoteResponse | None:
        """The recorded response; None while there is none."""
        try:
            document = self._transport.get(self._path(batch_id, "response"), execution=execution)
        except WrongState:
            return None
        status = self.status(batch_id, execution=execution)
        return RemoteResponse(document, self, batch_id=status.batch_id, execution=status.execution)

    def results(
        self, batch_id: str, *, execution: int | None = None, on_damage: OnDamage | None = None
    ) -> Iterator[ItemResult]:
        """Every recorded outcome in item order, streamed.

        A damaged checkpoint is an error of the server: `on_damage` hears of none.
        """
        decode = msgspec.json.Decoder(ItemResult).decode
        return map(decode, self._transport.lines(self._path(batch_id, "results"), execution=execution))

    def failures(self, batch_id: str, *, execution: int | None = None) -> Iterator[Failed]:
        """The items that count as failed now, with the items themselves, in item order."""
        return (one for one in self._unsuccessful(batch_id, execution) if one.status == "FAILED")

    def in_doubt(self, batch_id: str, *, execution: int | None = None) -> Sequence[Failed]:
        """At-most-once items that may have been called and have no outcome: `settle` them."""
        return [one for one in self._unsuccessful(batch_id, execution) if one.status != "FAILED"]

    def history(self, batch_id: str, *, execution: int | None = None) -> Sequence[Deed]:
        """Who did what to an execution, oldest first."""
        return self._get(_Deeds, self._path(batch_id, "history"), execution=execution).deeds

    def explain(
        self,
        batch_id: str,
        item_id: str,
        *,
        execution: int | None = None,
        on_damage: OnDamage | None = None,
    ) -> Explanation:
        """The whole story of one item."""
        return self._get(Explanation, self._path(batch_id, "items", item_id), execution=execution)

    def checkpoints(self, batch_id: str, *, execution: int | None = None) -> Iterator[Checkpoint]:
        """The durable points of an execution, oldest first."""
        found = self._get(_Checkpoints, self._path(batch_id, "checkpoints"), execution=execution)
        return iter(found.checkpoints)

    def verify(self, batch_id: str, *, execution: int | None = None) -> Verification:
        """Check everything stored of an execution against its digests."""
        return self._get(Verification, self._path(batch_id, "verification"), execution=execution)

    def events(
        self,
        batch_id: str,
        *,
        after: int = 0,
        execution: int | None = None,
        limit: int | None = None,
        without: Collection[str] = (),
    ) -> Sequence[Event]:
        """The events behind position `after` that there are by now, in order.

        At most `limit`, and none of the types `without`.
        """
        path = self._path(batch_id, "events")
        found: list[Event] = []
        while limit is None or len(found) < limit:
            most = _PAGE if limit is None else min(_PAGE, limit - len(found))
            where = {"after": after, "execution": execution, "limit": most, "without": list(without) or None}
            some = self._get(_Events, path, **where).events
            found += some
            if len(some) < most:
                break
            after = some[-1].sequence
        return found

    # ------------------------------------------------------------- how it is done

    def _unsuccessful(self, batch_id: str, execution: int | None) -> Iterator[Failed]:
        after: int | None = -1
        while after is not None:
            path = self._path(batch_id, "failures")
            page = self._get(_FailedItems, path, execution=execution, after=after, limit=_PAGE)
            yield from page.failures
            after = page.next_after

    def _post(self, batch_id: str, verb: str, value: object = None, **query: object) -> Status:
        body = self._transport.send("POST", self._path(batch_id, verb), value, **query)
        return msgspec.json.decode(body, type=Status)

    def _get(self, shape: type[Shape], path: str, /, **query: object) -> Shape:
        return msgspec.json.decode(self._transport.get(path, **query), type=shape)

    @staticmethod
    def _path(batch_id: str, *parts: str) -> str:
        return "/v1/batches/" + "/".join(map(segment, (batch_id, *parts)))


def connect(
    url: str, *, token: str | None = None, timeout: float = TIMEOUT, ca: str | PathLike[str] | None = None
) -> Client:
    """A client of the server at `url` (`http://127.0.0.1:8484`).

    Args:
        url: Where `everyitem serve` listens.
        token: Access token; default: the environment variable EVERYITEM_API_TOKEN.
        timeout: Seconds to wait for a connection, and for the next bytes of an answer.
        ca: PEM file of authorities to trust instead of the system's, for `https`.

    Example:
        with everyitem.connect("http://127.0.0.1:8484") as client:
            client.submit("batch.json")
            print(client.wait("eod-2026-11-20").to_json())
    """
    token = token if token is not None else os.environ.get(TOKEN_VARIABLE)
    return Client(Transport(url, token=token, timeout=timeout, ca=None if ca is None else os.fspath(ca)))


def snapshot_of(status: Status) -> Snapshot:
    """A status as displays show it; what each worker does is not known from afar."""
    return Snapshot(
        at=time.monotonic(),
        batch_id=status.batch_id,
        execution=status.execution,
        round=status.round,
        status=status.state,
        items=status.items,
        succeeded=status.succeeded,
        failed=status.failed,
        open=status.open,
        in_flight=status.in_flight,
        retries_waiting=status.retries_waiting,
        retried=0,
        steals=0,
        rate_per_second=status.rate_per_second,
        eta_seconds=status.eta_seconds,
        parallelism=0,
        checkpoints=status.checkpoints,
        last_checkpoint_at=None,
        workers=(),
        failures_by_cause=(),
        elapsed=0.0,
    )


@contextmanager
def _opened(batch: Document) -> Iterator[bytes | IO[bytes]]:
    """What is sent of a document: a file is read while it is sent."""
    if isinstance(batch, bytes):
        yield batch
    elif isinstance(batch, Mapping):
        yield msgspec.json.encode(batch)
    else:
        try:
            opened = open(batch, "rb")  # noqa: SIM115, PTH123 - closed below; only opening it is our caller's fault
        except OSError as error:
            raise UsageError(f"{os.fspath(batch)}: {error.strerror or error}") from None
        with opened:
            yield opened


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))
