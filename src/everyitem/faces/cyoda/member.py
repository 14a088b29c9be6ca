"""The member: takes requests from the streams, executes each entity once, and answers everybody who waits.

One thread decides everything; executions run on threads of their own and report to it. While it works, the
stream process answers the platform's probes.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from everyitem.compose import Switch
from everyitem.faces.api.conduct import Inbox
from everyitem.faces.cyoda import messages
from everyitem.faces.cyoda.entity import Entity, NotAnEntity, Outcome
from everyitem.faces.cyoda.flights import Boarding, Flights, Key
from everyitem.faces.cyoda.frames import Answer, Asked, Connect, FromStream, Joined, Lost, Warned
from everyitem.faces.cyoda.link import Link
from everyitem.faces.cyoda.messages import LARGEST_ANSWER, Message, Request
from everyitem.faces.cyoda.options import CyodaOptions, read_file
from everyitem.faces.cyoda.processing import INITIALIZE, PROCESSORS, BatchProcessor, check_size
from everyitem.faces.cyoda.refusal import Refusal
from everyitem.settings import Settings

#: Seconds before a stream process that has died is started again.
_RESTART: Final = 1.0

Landing = Outcome | Refusal


@dataclass(frozen=True)
class Waiter:
    """One request that is owed an answer, with the entity as it was at its dispatch."""

    stream: int
    request: Request
    entity: Entity
    #: `time.monotonic` of its arrival.
    at: float

    @property
    def key(self) -> Key:
        """The entity."""
        return (self.request.tenant, self.request.entity_id)


def connect_frame(options: CyodaOptions) -> Connect:
    """What the stream process must know.

    Raises:
        UsageError: a file of the options cannot be read.
    """
    return Connect(
        endpoints=options.endpoints,
        tag=options.tag,
        processors=PROCESSORS,
        tls=options.tls,
        authorities=None if options.ca is None else read_file(options.ca),
        credentials=options.credentials(),
        silence=options.silence_seconds,
        longest_wait=options.reconnect_seconds,
    )


class Member:
    """One member of the platform, from `run` to its end. `say` prints a line for the operator."""

    def __init__(
        self, settings: Settings, options: CyodaOptions, *, inbox: Inbox, say: Callable[[str], None]
    ) -> None:
        self._options, self._say, self._inbox = options, say, inbox
        self._setup = connect_frame(options)
        self._processor = BatchProcessor(settings, options)
        self._flights: Flights[Waiter] = Flights()
        self._running: dict[Key, Switch] = {}
        self._queue: deque[Waiter] = deque()
        self._initializing = 0
        self._stopping = False
        self._link: Link | None = None

    # ------------------------------------------------------------- steering: called through the inbox

    def stop(self, reason: str) -> None:
        """Take nothing new; running batches drain, write a checkpoint, and their callers shall ask again."""
        self._stopping = True
        self._processor.stop()
        for switch in self._running.values():
            switch.stop(reason)
        while self._queue:
            self._land(self._queue.popleft().key, _stopping())

    def stop_now(self, reason: str = "a second signal") -> None:
        """Interrupt items at once; nothing recorded is lost."""
        self._stopping = True
        for switch in self._running.values():
            switch.stop_now(reason)

    def reached(self, seconds: float) -> bool:
        """Wait until every running batch has acted on it, at most so long together."""
        until = time.monotonic() + seconds
        return all(switch.reached(max(0.0, until - time.monotonic())) for switch in self._running.values())

    # ------------------------------------------------------------- the loop

    def run(self) -> None:
        """Be a member until `stop`."""
        self._inbox.attended = True
        self._start_link()
        try:
            while not (self._stopping and not self._running and not self._initializing):
                heard = self._inbox.get()
                if callable(heard):
                    heard()
        finally:
            self._inbox.attended = False
            if self._link is not None:
                self._link.close()

    def _start_link(self) -> None:
        if not self._stopping:
            self._link = Link(self._setup, lambda heard: self._inbox.put(lambda: self._hear(heard)))

    def _hear(self, heard: FromStream | None) -> None:
        match heard:
            case Asked(stream, request):
                self._asked(stream, request)
            case Joined(stream, endpoint, member_id, tenant):
                self._say(f"{endpoint}: joined as member {member_id} of {tenant} (stream {stream})")
            case Lost(stream, endpoint, reason):
                self._flights.leave(lambda waiter: waiter.stream == stream)
                if not self._stopping:
                    self._say(f"{endpoint}: no stream: {reason}")
            case Warned(text):
                self._say(f"warning: {text}")
            case None:
                self._flights.leave(lambda _: True)
                if not self._stopping:
                    self._say("the stream process has died; it is started again")
                    timer = threading.Timer(_RESTART, lambda: self._inbox.put(self._start_link))
                    timer.daemon = True
                    timer.start()

    # ------------------------------------------------------------- requests

    def _asked(self, stream: int, request: Request) -> None:
        try:
            waiter = self._admit(stream, request)
        except Refusal as refusal:
            self._refuse(stream, request, refusal)
            return
        if request.name == INITIALIZE:
            self._initialize(waiter)
            return
        boarding = self._flights.board(waiter.key, waiter.entity.fingerprint(), waiter)
        if boarding is Boarding.FIRST:
            self._enqueue(waiter)
        elif boarding is Boarding.DIFFERENT:
            text = "this entity is being executed with other inputs (items, configuration, plan)"
            self._refuse(stream, request, Refusal("ENTITY_CHANGED", text, retryable=True))
        else:
            self._say(
                f"entity {request.entity_id}: dispatched again; request {request.request_id} waits, too"
            )

    def _admit(self, stream: int, request: Request) -> Waiter:
        if self._stopping:
            raise _stopping()
        assert request.data is not None
        try:
            entity = Entity(request.data)
        except NotAnEntity as fault:
            raise Refusal("NOT_AN_ENTITY", str(fault), retryable=False) from None
        check_size(entity)
        return Waiter(stream, request, entity, time.monotonic())

    def _enqueue(self, waiter: Waiter) -> None:
        if len(self._running) < self._options.max_executions:
            self._execute(waiter)
        elif len(self._queue) < self._options.max_waiting:
            self._queue.append(waiter)
        else:
            text = f"{len(self._running)} batches are executed here and {len(self._queue)} wait"
            self._land(waiter.key, Refusal("OVERLOADED", text, retryable=True))

    def _execute(self, waiter: Waiter) -> None:
        self._say(f"entity {waiter.request.entity_id}: batch {waiter.entity.batch_id!r} is executed")
        switch = self._running[waiter.key] = Switch()

        def carry_out() -> None:
            landing: Landing
            try:
                landing = self._processor.execute(
                    waiter.entity, waiter.request, asked_at=waiter.at, switch=switch
                )
            except Refusal as refusal:
                landing = refusal
            except Exception as error:
                landing = _unexpected(error)
            self._inbox.put(lambda: self._landed(waiter.key, landing))

        threading.Thread(target=carry_out, name=f"everyitem-entity-{waiter.request.entity_id}").start()

    def _initialize(self, waiter: Waiter) -> None:
        if self._initializing > self._options.max_waiting:
            text = f"{self._initializing} batches are being initialized here"
            self._refuse(waiter.stream, waiter.request, Refusal("OVERLOADED", text, retryable=True))
            return
        self._initializing += 1

        def carry_out() -> None:
            answer: Message
            try:
                answer = self._success(waiter, self._processor.initialize(waiter.entity, waiter.request))
            except Refusal as refusal:
                answer = _failure(waiter.request, refusal)
            except Exception as error:
                answer = _failure(waiter.request, _unexpected(error))

            def report() -> None:
                self._initializing -= 1
                self._answer(waiter.stream, answer)

            self._inbox.put(report)

        threading.Thread(target=carry_out, name="everyitem-initialize").start()

    # ------------------------------------------------------------- answers

    def _landed(self, key: Key, landing: Landing) -> None:
        del self._running[key]
        what = landing.status if isinstance(landing, Outcome) else f"not executed: {landing}"
        self._say(f"entity {key[1]}: {what}")
        self._land(key, landing)
        if self._queue and not self._stopping:
            self._execute(self._queue.popleft())

    def _land(self, key: Key, landing: Landing) -> None:
        for waiter in self._flights.land(key):
            if isinstance(landing, Refusal):
                self._refuse(waiter.stream, waiter.request, landing)
            else:
                # the entity as this request brought it
                self._answer(waiter.stream, self._success(waiter, waiter.entity.with_outcome(landing)))

    def _success(self, waiter: Waiter, entity: bytes) -> Message:
        """The answer with a whole entity, or a refusal where the platform would not take it."""
        answer = messages.succeed(waiter.request, entity, self._processor.warnings(waiter.request))
        if len(answer.text) <= LARGEST_ANSWER:
            return answer
        text = f"the entity as it would come back has {len(entity):,} bytes, more than the platform takes"
        return _failure(waiter.request, Refusal("ENTITY_TOO_LARGE", text, retryable=False))

    def _refuse(self, stream: int, request: Request, refusal: Refusal) -> None:
        self._answer(stream, _failure(request, refusal))

    def _answer(self, stream: int, message: Message) -> None:
        if self._link is not None:
            self._link.answer(Answer(stream, message))


def _failure(request: Request, refusal: Refusal) -> Message:
    return messages.fail(request, refusal.code, f"{refusal.code}: {refusal}", retryable=refusal.retryable)


def _stopping() -> Refusal:
    return Refusal("MEMBER_STOPPING", "this member is being stopped; ask again", retryable=True)


def _unexpected(error: Exception) -> Refusal:
    return Refusal("INTERNAL_ERROR", f"{type(error).__name__}: {error}", retryable=True)
