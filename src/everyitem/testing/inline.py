"""Running an item processor in the calling thread, with everything a worker does and without its waiting."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from everyitem.model.errors import UsageError
from everyitem.model.items import InMemoryItems, item_id_of
from everyitem.model.outcome import Failure
from everyitem.model.retry import RetryPolicy
from everyitem.testing.clock import FakeClock
from everyitem.work.assignment import Assignment, OriginKind, ProcessorOrigin
from everyitem.work.context import BatchView
from everyitem.work.loop import Slot
from everyitem.work.outcomes import StretchOutcomes
from everyitem.work.processors import ItemProcessor, find_processor, registered_processors
from everyitem.work.results import UnusableResult, encode_result
from everyitem.work.stretch import Stretch
from everyitem.work.window import new_window

#: Seconds of the fake clock after which an item that only ever raises `RetryLater` is given up.
_PATIENCE = 4 * 3600.0


@dataclass(kw_only=True)
class InlineOutcome:
    """What came of one item."""

    index: int
    item_id: str
    succeeded: bool = False
    #: The decoded result; None for a failed item.
    result: Any = None
    #: Attempts that count: those that asked for `RetryLater` do not.
    attempts: int = 0
    #: Every failed attempt, oldest first; the last one decided a failed item.
    failures: list[Failure] = field(default_factory=list)
    #: What the processor logged through `context.logger`, as (level name, text).
    logs: list[tuple[str, str]] = field(default_factory=list)

    @property
    def error(self) -> Failure | None:
        """Why the item failed for good; None when it succeeded."""
        return None if self.succeeded else self.failures[-1]


@dataclass(kw_only=True)
class InlineRun:
    """What came of all items, in item order."""

    outcomes: list[InlineOutcome]
    #: Seconds the clock was advanced between attempts.
    waited: float

    @property
    def results(self) -> list[Any]:
        """The results in item order, None where an item failed."""
        return [outcome.result for outcome in self.outcomes]

    @property
    def failed(self) -> list[InlineOutcome]:
        """The items that failed for good."""
        return [outcome for outcome in self.outcomes if not outcome.succeeded]


def run_inline(
    processor: Callable[..., Any] | str,
    items: Iterable[Any],
    *,
    parameters: Mapping[str, Any] | None = None,
    max_retries: int = 3,
    retry: RetryPolicy | None = None,
    clock: FakeClock | None = None,
    batch_id: str = "inline",
) -> InlineRun:
    """Run an item processor over some items, retries included, and return what came of each.

    Args:
        processor: The function (decorated or not), or the name it is registered under.
        items: JSON values; they reach the function decoded from JSON, as in a batch.
        parameters: What `context.parameters` shows.
        max_retries: Attempts after the first, unless `retry` is given.
        retry: The whole retry policy; delays are taken without jitter.
        clock: Advanced by every delay; give one to watch it.
        batch_id: What `context.batch_id` and idempotency keys say.

    Raises:
        UsageError: no such processor, or an item is not JSON.
        TimeoutError: an item asked for `RetryLater` for more than four hours of the fake clock.
    """
    found = _processor(processor)
    policy = retry or RetryPolicy(max_retries=max_retries)
    texts = [_item_text(index, item) for index, item in enumerate(items)]
    accepted = InMemoryItems(b"[" + b",".join(texts) + b"]", named=True)
    assignment = Assignment(
        batch_id=batch_id,
        key_prefix=batch_id,
        processor=found.name,
        origin=found.origin,
        parameters=_object_text("parameters", parameters or {}),
        max_attempts=1 + policy.max_retries,
        named=True,
    )
    slot = Slot(found, BatchView(assignment))
    try:
        slot.run_hook(found.setup)
        try:
            return _Inline(slot, accepted, texts, policy, clock or FakeClock()).run()
        finally:
            slot.run_hook(found.teardown)
    finally:
        slot.close()


class _Inline:
    """One inline run: attempt after attempt over the items that are still open."""

    def __init__(
        self, slot: Slot, items: InMemoryItems, texts: list[bytes], policy: RetryPolicy, clock: FakeClock
    ) -> None:
        self._slot, self._items, self._policy, self._clock = slot, items, policy, clock
        self._outcomes = [
            InlineOutcome(index=index, item_id=item_id_of(text, index)) for index, text in enumerate(texts)
        ]
        self._waited = 0.0

    def run(self) -> InlineRun:
        """Fresh items together, then each that failed again by itself, at its own time."""
        if self._outcomes:
            open_items = self._attempt(range(len(self._items)), attempt=1)
            while open_items:
                open_items = [
                    again
                    for index, attempt in open_items
                    for again in self._attempt((index,), attempt=attempt)
                ]
        return InlineRun(outcomes=self._outcomes, waited=self._waited)

    def _attempt(self, indices: range | tuple[int, ...], *, attempt: int) -> list[tuple[int, int]]:
        """Run these items once; returns those to be tried again as (index, attempt)."""
        collector = StretchOutcomes()
        stretch = Stretch(self._items.text(indices), indices, first=0, attempt=attempt)
        self._slot.work(stretch, new_window(0, len(indices)), collector)
        block = collector.block()
        for successes in block.successes:
            for index, text in zip(successes.indices(), successes.result_texts(), strict=True):
                outcome = self._outcomes[index]
                outcome.succeeded, outcome.result = True, msgspec.json.decode(text)
                outcome.attempts = attempt
        for index, _, level, text_logged in block.logs:
            self._outcomes[index].logs.append((level, text_logged))
        return [again for failure in block.failures if (again := self._decide(failure)) is not None]

    def _decide(self, failure: Failure) -> tuple[int, int] | None:
        """Keep a failed attempt; the next attempt of its item after the delay, or None when it is final."""
        outcome = self._outcomes[failure.index]
        outcome.failures.append(failure)
        if failure.retry_after is not None:
            self._wait(failure.retry_after, outcome)
            return failure.index, failure.attempt
        outcome.attempts = failure.attempt
        if failure.permanent or failure.attempt > self._policy.max_retries:
            failure.final = True
            return None
        self._wait(self._policy.backoff(failure.attempt), outcome)
        return failure.index, failure.attempt + 1

    def _wait(self, seconds: float, outcome: InlineOutcome) -> None:
        self._clock.advance(seconds)
        self._waited += seconds
        if self._waited > _PATIENCE or len(outcome.failures) > 10_000:
            raise TimeoutError(
                f"item {outcome.item_id!r} was still asking to be retried after {self._waited:g} s "
                f"and {len(outcome.failures)} attempts"
            )


def _processor(processor: Callable[..., Any] | str) -> ItemProcessor:
    """The registered processor, or one made of a plain or wrapped function on the spot."""
    if isinstance(processor, str):
        return find_processor(processor)
    inner = inspect.unwrap(processor)
    for registered in registered_processors():
        if registered.function is processor or inspect.unwrap(registered.function) is inner:
            return msgspec.structs.replace(registered, function=processor)
    return ItemProcessor(
        name=getattr(processor, "__name__", "inline"),
        function=processor,
        is_async=inspect.iscoroutinefunction(inner),
        origin=ProcessorOrigin(OriginKind.LOCAL, "inline"),
        qualname=getattr(processor, "__qualname__", "inline"),
        source="inline",
    )


def _item_text(index: int, item: Any) -> bytes:
    try:
        return encode_result(item)
    except UnusableResult as fault:
        raise UsageError(f"items[{index}] is not JSON: {fault.reason}") from fault


def _object_text(name: str, value: Mapping[str, Any]) -> bytes:
    try:
        return encode_result(dict(value))
    except UnusableResult as fault:
        raise UsageError(f"{name} is not JSON: {fault.reason}") from fault
