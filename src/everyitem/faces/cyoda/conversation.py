"""What is said on one stream, from the join to its end: a state machine without I/O.

A server registers a member before it greets it, so requests may come first. They wait for the greeting,
which names the tenant.
"""

from collections.abc import Collection, Sequence
from typing import Final

import msgspec

from everyitem.faces.cyoda import messages
from everyitem.faces.cyoda.messages import Message, Request, Unreadable

#: Seconds the platform has to greet.
_GREETING: Final = 10.0
#: Probes that may be missing before the stream counts as dead.
_MISSING_PROBES: Final = 3


class Say(msgspec.Struct, frozen=True):
    """Send this."""

    message: Message


class Deliver(msgspec.Struct, frozen=True):
    """Carry this request out; its tenant is known."""

    request: Request


class Joined(msgspec.Struct, frozen=True):
    """The platform knows us."""

    member_id: str
    tenant: str


class Part(msgspec.Struct, frozen=True):
    """End the stream; the join has failed."""

    reason: str


class Complain(msgspec.Struct, frozen=True):
    """Something came that cannot be understood; it was passed over."""

    about: str


Action = Say | Deliver | Joined | Part | Complain


class Conversation:
    """One stream's conversation. Times are seconds of any steady clock."""

    def __init__(self, *, tag: str, processors: Collection[str], least_patience: float = 45.0) -> None:
        """`processors` are the names that are delivered; `least_patience` is a silence that is never odd."""
        self._tag, self._processors, self._least_patience = tag, processors, least_patience
        self._tenant: str | None = None
        self._early: list[Request] = []
        self._last_probe: float | None = None
        self._interval = 0.0

    def begin(self) -> Sequence[Action]:
        """What to do on a fresh stream."""
        return [Say(messages.join(self._tag))]

    @property
    def patience(self) -> float:
        """Seconds of silence after which the stream is dead."""
        if self._tenant is None:
            return min(_GREETING, self._least_patience)
        return max(self._least_patience, _MISSING_PROBES * self._interval)

    def hear(self, event_type: str, text: bytes, *, now: float) -> Sequence[Action]:
        """What to do about one event; an event of an unknown type needs nothing."""
        try:
            if event_type == messages.KEEP_ALIVE:
                self._measure(now)
                return [Say(messages.acknowledge(text))]
            if event_type == messages.GREET:
                return self._greeted(messages.read_greeting(text))
            if messages.is_request(event_type):
                return self._asked(messages.read_request(event_type, text))
        except Unreadable as unreadable:
            complaint = Complain(str(unreadable))
            if unreadable.request is None:
                return [complaint]
            why = f"the request cannot be read: {unreadable}"
            refusal = messages.fail(unreadable.request, "UNREADABLE_REQUEST", why, retryable=False)
            return [complaint, Say(refusal)]
        return []

    def _measure(self, now: float) -> None:
        if self._last_probe is not None:
            self._interval = now - self._last_probe
        self._last_probe = now

    def _greeted(self, greeting: messages.Greeting) -> Sequence[Action]:
        if not greeting.success:
            return [Part(f"the platform refused the member: {greeting.error}")]
        self._tenant = greeting.joined_legal_entity_id
        early, self._early = self._early, []
        return [Joined(greeting.member_id, self._tenant), *map(self._delivery, early)]

    def _asked(self, request: Request) -> Sequence[Action]:
        if request.kind is not messages.Kind.PROCESSOR or request.name not in self._processors:
            return [Say(messages.refuse_unknown(request))]
        if self._tenant is None:
            self._early.append(request)
            return []
        return [self._delivery(request)]

    def _delivery(self, request: Request) -> Deliver:
        assert self._tenant is not None
        return Deliver(msgspec.structs.replace(request, tenant=self._tenant))
