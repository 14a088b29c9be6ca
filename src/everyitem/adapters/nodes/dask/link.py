"""A connection to a Dask scheduler, as a node uses it: tasks and questions, bytes in and bytes out.

Mechanics only; what to do when is decided in `dispatch.py`. All of it runs in the node's own event loop.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Collection
from concurrent.futures import CancelledError
from typing import Any, Final

from distributed import Client, Security

from everyitem.adapters.nodes.dask import station
from everyitem.adapters.nodes.dask.frames import (
    OPERATION,
    TOPIC,
    Answer,
    Ask,
    Report,
    Task,
    Welcome,
    decode_answer,
    decode_report,
    decode_welcome,
    encode,
)
from everyitem.work.failures import in_short

# Dask's constructors have no types.
_CLIENT: Any = Client
_SECURITY: Any = Security

#: Seconds a connection may take to come about, and an answer beside the tasks.
CONNECT: Final = 5.0
_CLOSE: Final = 2.0
#: What Dask raises where the scheduler is away: of the socket, or of a client that is just closing for it
#: (`RuntimeError: ConnectionPool is closed`, and attributes that are None by then).
_AWAY: Final = (OSError, TimeoutError, AttributeError, RuntimeError)
#: Task round trips that are measured for `round_trip`.
_TRIALS: Final = 3


class LinkLost(Exception):
    """There is no connection to the scheduler (any more)."""


class NoCluster(LinkLost):
    """There is no scheduler, and asking once more would not help: the cluster could not be started."""


class Lost(Exception):
    """A task will have no result: its workers died, or it was cancelled."""


class Link:
    """One connection. `on_begun(run, lease, worker)` and `on_gone(worker)` are called in the event loop."""

    def __init__(
        self, client: Any, *, on_begun: Callable[[str, int, str], None], on_gone: Callable[[str], None]
    ) -> None:
        self._client = client
        self._on_begun, self._on_gone = on_begun, on_gone
        client.subscribe_topic(TOPIC, self._hear_begun)
        client.subscribe_topic("all", self._hear_scheduler)

    @classmethod
    async def connect(
        cls,
        address: str,
        *,
        on_begun: Callable[[str, int, str], None],
        on_gone: Callable[[str], None],
        security: Any = None,
    ) -> "Link":
        """Connect to the scheduler at `address`; raises `LinkLost`, saying why, where it does not answer.

        `security` is Dask's; None: as Dask is configured.
        """
        # a traceback for each lost connection; the node says itself what has become of it
        logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
        client = _CLIENT(
            address,
            asynchronous=True,
            security=security or _SECURITY(require_encryption=address.startswith("tls://")),
            set_as_default=False,
            timeout=CONNECT,
            name="everyitem",
        )
        try:
            await client
        except (OSError, TimeoutError, ValueError, TypeError) as error:
            await _close(client)
            raise LinkLost(f"the Dask scheduler at {address} does not answer: {in_short(error)}") from error
        except asyncio.CancelledError:
            # the node ends and does not wait for a scheduler
            await _close(client)
            raise
        return cls(client, on_begun=on_begun, on_gone=on_gone)

    @property
    def is_up(self) -> bool:
        """Whether the scheduler is there."""
        return bool(self._client.status == "running")

    async def workers(self) -> dict[str, int]:
        """Threads of every worker, by address."""
        try:
            found: dict[str, int] = await asyncio.wait_for(self._client.nthreads(), CONNECT)
        except _AWAY as error:
            raise LinkLost(f"the Dask scheduler does not answer: {in_short(error)}") from error
        return found

    async def open(self, opening: bytes, workers: Collection[str]) -> dict[str, Welcome]:
        """Open a station on each of these workers; one that cannot has a `problem`."""
        if not workers:
            return {}
        try:
            answers = await self._client.run(
                station.open_station, opening, workers=list(workers), on_error="return"
            )
        except _AWAY as error:
            raise LinkLost(f"the Dask scheduler does not answer: {in_short(error)}") from error
        return {worker: _welcome(answers.get(worker)) for worker in workers}

    async def round_trip(self, workers: Collection[str] | None = None) -> float:
        """Seconds a Dask task takes that does nothing, at best; among `workers` only, where given."""
        among = {} if workers is None else {"workers": list(workers)}
        times = []
        for _ in range(_TRIALS):
            begun = time.monotonic()
            with contextlib.suppress(Exception):
                # a worker that is frozen just now is not waited for
                await asyncio.wait_for(self._client.submit(station.nothing, pure=False, **among), CONNECT)
            times.append(time.monotonic() - begun)
        return min(times)

    def submit(self, key: str, task: Task, workers: Collection[str] | None) -> Any:
        """Hand a task to Dask, which places it; among `workers` only, where they are given.

        Never twice by Dask's own retries; that the death of a worker makes it run again cannot be helped.
        """
        return self._client.submit(
            station.run_task,
            encode(task),
            key=key,
            pure=False,
            retries=0,
            workers=None if workers is None else list(workers),
            allow_other_workers=False,
        )

    @staticmethod
    async def result(future: Any) -> Report:
        """What came of a task. Raises `Lost` where nothing will."""
        try:
            answer = await future
        except (CancelledError, asyncio.CancelledError) as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise Lost("the Dask task was cancelled") from error
        except Exception as error:
            raise Lost(in_short(error)) from error
        return decode_report(answer)

    @staticmethod
    async def drop(future: Any) -> None:
        """Cancel a task whose result nobody wants any more, or forget it."""
        with contextlib.suppress(Exception):
            await asyncio.wait_for(future.cancel(), _CLOSE)

    async def ask(self, worker: str, ask: Ask, *, patience: float = CONNECT) -> Answer | None:
        """Ask a worker's station beside its tasks; None where no answer comes in time."""
        message = {"op": OPERATION, "frame": encode(ask)}
        try:
            answers = await asyncio.wait_for(
                self._client.scheduler.broadcast(msg=message, workers=[worker], on_error="ignore"), patience
            )
        except (*_AWAY, KeyError):
            return None
        answer = answers.get(worker)
        return decode_answer(answer) if isinstance(answer, bytes) else None

    async def close(self) -> None:
        """End the connection; the cluster goes on."""
        for topic in (TOPIC, "all"):
            # or the scheduler would tell us of our own departure, and complain that we are gone
            with contextlib.suppress(Exception):
                self._client.unsubscribe_topic(topic)
        await _close(self._client)

    def _hear_begun(self, event: tuple[float, Any]) -> None:
        message = event[1]
        self._on_begun(message["run"], message["lease"], message["worker"])

    def _hear_scheduler(self, event: tuple[float, Any]) -> None:
        message = event[1]
        if isinstance(message, dict) and message.get("action") == "remove-worker":
            self._on_gone(message["worker"])


async def _close(client: Any) -> None:
    """Close a client, also where whoever wants that is cancelled meanwhile.

    Left to the garbage collector it would begin to close itself, and nobody would carry it out.
    """
    closing = asyncio.ensure_future(asyncio.wait_for(client.close(timeout=_CLOSE), 2 * _CLOSE))
    try:
        await asyncio.shield(asyncio.gather(closing, return_exceptions=True))
    except asyncio.CancelledError:
        await asyncio.gather(closing, return_exceptions=True)
        raise


def _welcome(answer: object) -> Welcome:
    match answer:
        case bytes():
            return decode_welcome(answer)
        case ModuleNotFoundError() | ImportError() | AttributeError():
            return Welcome(
                problem=f"it cannot load everyitem ({answer}); install it there, in the same version"
            )
        case BaseException():
            return Welcome(problem=in_short(answer))
        case _:
            return Welcome(problem="it did not answer")
