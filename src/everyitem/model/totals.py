"""Control totals: amounts named by the batch, summed exactly from the digits as written.

Items stay bytes: of each one nothing is decoded but the amount, and that never becomes a binary float. What
an item has that cannot be summed is a `Gap`; it is counted and listed, never taken for 0.
"""

import operator
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from decimal import Context, Decimal, DecimalException, Inexact, InvalidOperation, localcontext
from enum import StrEnum
from typing import Any, Self

import msgspec

from everyitem.model.items import Items, item_id_of
from everyitem.model.outcome import Failure, Successes

#: An amount is below this, and has at most so many decimal places.
_LIMIT = Decimal("1e300")
_PLACES = 300

#: Room for the sum of a billion such amounts; a digit that did not fit would raise, not be lost.
_EXACT = Context(prec=700, traps=[Inexact, InvalidOperation])
_ZERO = Decimal(0)

#: Items a response names, of those whose amount cannot be summed.
_NAMED = 20

_raw_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decimal = msgspec.json.Decoder(Decimal).decode


class Gap(StrEnum):
    """Why an item adds nothing to a total."""

    MISSING = "missing"
    NULL = "null"
    NOT_NUMERIC = "notNumeric"
    OUT_OF_RANGE = "outOfRange"


class Amount:
    """One named amount of every item: a JSON number, or a text that is one."""

    def __init__(self, name: str) -> None:
        """`name` is a member of the items, or a JSON pointer (`/price/net`) through their objects.

        Raises `ValueError` for what can be neither.
        """
        self.name = name
        steps = _steps(name)
        self._rows = msgspec.json.Decoder(list[_shape(steps, Decimal)]).decode  # type: ignore[misc]
        self._row = msgspec.json.Decoder(_shape(steps, msgspec.Raw)).decode
        self._get: Callable[[Any], Any] = operator.attrgetter(".".join("m" for _ in steps))

    def values(self, text: bytes) -> list[Decimal | Gap]:
        """The amount of each item of a JSON array."""
        with suppress(msgspec.ValidationError):
            values = list(map(self._get, self._rows(text)))
            if _are_summable(values):
                return values
        return [self._value(raw) for raw in _raw_list(text)]

    def _value(self, text: msgspec.Raw) -> Decimal | Gap:
        try:
            found = self._get(self._row(text))
        except msgspec.ValidationError:
            # the item, or what the name leads through, has no such member
            return Gap.MISSING
        if bytes(found) == b"null":
            return Gap.NULL
        try:
            value = _decimal(found)
        except msgspec.ValidationError:
            return Gap.NOT_NUMERIC
        if not value.is_finite():
            return Gap.NOT_NUMERIC
        return value if _are_summable([value]) else Gap.OUT_OF_RANGE

    def total(self, items: Items, ranges: Iterable[tuple[int, int]]) -> Decimal:
        """The sum over the items of some ranges, given as (first, count)."""
        texts = (items.text(range(first, stop)) for first, stop in _joined(ranges))
        return _sum(_sum(_numbers(self.values(text))) for text in texts)

    def recorded(
        self, items: Items, successes: Iterable[Successes], failures: Iterable[Failure]
    ) -> tuple[Decimal, Decimal]:
        """What the outcomes of a segment add to the total that succeeded and to the one that failed."""
        return (
            self.total(items, (part for run in successes for part in run.ranges)),
            self.total(items, ((failure.index, 1) for failure in failures if failure.final)),
        )


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """One total at one checkpoint, by what became of its items."""

    input: Decimal = _ZERO
    succeeded: Decimal = _ZERO
    failed: Decimal = _ZERO
    #: Of items without an outcome, those in doubt among them.
    open: Decimal = _ZERO

    @property
    def adds_up(self) -> bool:
        """Whether input = succeeded + failed + open, to the last digit."""
        return self.input == _sum((self.succeeded, self.failed, self.open))

    def recording(self, succeeded: Decimal, failed: Decimal) -> Self:
        """The balance after these amounts, open so far, have succeeded and failed."""
        return msgspec.structs.replace(
            self,
            succeeded=_EXACT.add(self.succeeded, succeeded),
            failed=_EXACT.add(self.failed, failed),
            open=_EXACT.subtract(self.open, _EXACT.add(succeeded, failed)),
        )

    def texts(self) -> dict[str, str]:
        """The sums as plain digits, all with the decimal places of the most precise one."""
        sums = msgspec.structs.asdict(self)
        places = max(map(_places, sums.values()))
        return {name: plain(amount, places) for name, amount in sums.items()}


class Gaps(msgspec.Struct):
    """The items of a batch that add nothing to a total."""

    counts: dict[str, int] = msgspec.field(default_factory=dict)
    #: (index, item id, why) of the first ones.
    items: list[tuple[int, str, Gap]] = msgspec.field(default_factory=list)

    def note(self, first: int, text: bytes, values: Sequence[Decimal | Gap]) -> None:
        """Take note of the gaps in a chunk of items that begins with the item `first`."""
        texts: list[msgspec.Raw] = []
        for place, value in enumerate(values):
            if not isinstance(value, Gap):
                continue
            self.counts[value] = self.counts.get(value, 0) + 1
            if len(self.items) < _NAMED:
                texts = texts or _raw_list(text)
                index = first + place
                self.items.append((index, item_id_of(bytes(texts[place]), index), value))

    @property
    def total(self) -> int:
        """How many items add nothing."""
        return sum(self.counts.values())


class Derived(msgspec.Struct, frozen=True):
    """One total, summed from the items and from where each of them stands."""

    balance: Balance
    gaps: Gaps


class ControlTotal(msgspec.Struct, frozen=True):
    """One control total of an execution, and the proof of it."""

    #: As every checkpoint moved it.
    balance: Balance
    #: As summed anew; None where the store could not be read.
    derived: Balance | None = None
    gaps: Gaps = msgspec.field(default_factory=Gaps)
    #: The input as it was accepted, where a redrive may have corrected items since.
    accepted: Decimal | None = None

    def fault(self, name: str) -> str | None:
        """How it does not add up; None when it does."""
        if not self.balance.adds_up:
            return f"{name}: {self.text()} does not add up"
        if self.derived is None:
            return f"{name}: the items and checkpoints could not be summed again"
        if self.derived != self.balance:
            return f"{name}: {self.text()} as carried along, {_in_words(self.derived)} as summed again"
        return None

    def text(self) -> str:
        """The equation, in digits."""
        text, count = _in_words(self.balance), self.gaps.total
        return f"{text} ({count:,} without an amount)" if count else text

    def as_recorded(self) -> Self:
        """For a run that lost its store: what was carried along in memory will happen again."""
        return msgspec.structs.replace(self, balance=self.derived or self.balance)

    def to_dict(self) -> dict[str, Any]:
        """As a response shows it; sums are texts, because many readers make binary floats of JSON numbers."""
        shown: dict[str, Any] = {**self.balance.texts(), "addsUp": self.fault("") is None}
        if self.accepted is not None:
            places = max(_places(self.accepted), _places(self.balance.input))
            shown["accepted"] = plain(self.accepted, places)
            shown["corrections"] = plain(less(self.balance.input, self.accepted), places)
        shown["notSummed"] = {
            "items": self.gaps.total,
            **{gap: self.gaps.counts.get(gap, 0) for gap in Gap},
            "first": [
                {"itemId": item_id, "index": index, "why": why} for index, item_id, why in self.gaps.items
            ],
        }
        return shown


def derive(name: str, items: Items, ledger: bytes | bytearray) -> Derived:
    """Sum one amount in one pass over all items.

    `ledger` has one byte per item, as it is recorded: 1 succeeded, 2 failed, anything else open.
    """
    amount, gaps = Amount(name), Gaps()
    whole, succeeded, failed, still_open = _ZERO, _ZERO, _ZERO, _ZERO
    add = _EXACT.add
    for chunk in items.chunks():
        values = amount.values(chunk.text)
        numbers = list(_numbers(values))
        if len(numbers) < len(values):
            gaps.note(chunk.first, chunk.text, values)
        of_chunk = _sum(numbers)
        whole = add(whole, of_chunk)
        marks = bytes(ledger[chunk.first : chunk.first + chunk.count])
        if not marks.strip(b"\x00"):
            still_open = add(still_open, of_chunk)
            continue
        if not marks.strip(b"\x01"):
            succeeded = add(succeeded, of_chunk)
            continue
        parts: tuple[list[Decimal], list[Decimal], list[Decimal]] = ([], [], [])
        for value, mark in zip(values, marks, strict=True):
            if not isinstance(value, Gap):
                parts[mark if mark <= 2 else 0].append(value)
        still_open, succeeded, failed = map(add, (still_open, succeeded, failed), map(_sum, parts))
    return Derived(Balance(input=whole, succeeded=succeeded, failed=failed, open=still_open), gaps)


def _in_words(balance: Balance) -> str:
    sums = balance.texts()
    return f"{sums['input']} = {sums['succeeded']} + {sums['failed']} + {sums['open']}"


def plain(amount: Decimal, places: int) -> str:
    """An amount as plain digits with so many decimal places."""
    with localcontext(_EXACT):
        return f"{amount:.{places}f}"


def less(one: Decimal, other: Decimal) -> Decimal:
    """The difference of two sums, exactly."""
    return _EXACT.subtract(one, other)


def fault_of(name: str) -> str | None:
    """What is wrong with the name of a control total, in words; None when it can be one."""
    try:
        Amount(name)
    except ValueError as error:
        return str(error)
    return None


def _steps(name: str) -> list[str]:
    if not name.startswith("/"):
        return [name]
    if re.search(r"~(?![01])", name):
        raise ValueError("is no JSON pointer: ~ stands before 0 or 1 only (RFC 6901)")
    return [step.replace("~1", "/").replace("~0", "~") for step in name[1:].split("/")]


def _shape(steps: Sequence[str], innermost: Any) -> Any:
    """A type that decodes nothing but the member the steps lead to."""
    shape = innermost
    for step in reversed(steps):
        try:
            shape = msgspec.defstruct("Row", [("m", shape)], rename={"m": step}, gc=False)
        except ValueError:
            raise ValueError("must not contain quotes, backslashes or control characters") from None
    return shape


def _are_summable(values: Sequence[Decimal]) -> bool:
    """Whether each one is finite, below the limit and without too many decimal places."""
    try:
        # NaN does not compare, and a sum has as many places as the most precise of its terms
        return (
            max(values, default=_ZERO) < _LIMIT
            and min(values, default=_ZERO) > -_LIMIT
            and _places(_sum(values)) <= _PLACES
        )
    except DecimalException:
        return False


def _places(amount: Decimal) -> int:
    exponent = amount.as_tuple().exponent
    return -exponent if isinstance(exponent, int) else _PLACES + 1


def _numbers(values: Iterable[Decimal | Gap]) -> Iterator[Decimal]:
    return (value for value in values if not isinstance(value, Gap))


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    with localcontext(_EXACT):
        return sum(amounts, _ZERO)


def _joined(ranges: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The ranges, given as (first, count), as (first, stop) with neighbours made one."""
    start = stop = 0
    for first, count in sorted(ranges):
        if first != stop:
            if start < stop:
                yield start, stop
            start = first
        stop = first + count
    if start < stop:
        yield start, stop
