"""The item processor of the example: validates a fixing, computes its change, flags outliers."""

import time
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from everyitem import PermanentItemError, item_processor

#: How a change is given: percent with four decimals.
PLACES = Decimal("0.0001")


@item_processor("ecb-fixing")
def check_fixing(item: dict[str, Any], context: Any) -> dict[str, Any]:
    """One fixing in, its change since the previous fixing out.

    Parameters of the batch: `lookupMs`, how long the simulated look-up takes (0: none), and
    `outlierPercent`, the change from which on a fixing is flagged.
    """
    look_up(item["currency"], milliseconds=context.parameters["lookupMs"])
    date.fromisoformat(item["date"])
    rate = parse_rate(item["rate"])
    change = change_in_percent(rate, item["previousRate"])
    threshold = Decimal(context.parameters["outlierPercent"])
    return {
        "currency": item["currency"],
        "date": item["date"],
        "changePercent": None if change is None else str(change),
        "outlier": change is not None and abs(change) >= threshold,
    }


def look_up(currency: str, *, milliseconds: float) -> None:
    """Stands for a call to some other system, the currency's master data, say; here it only waits."""
    if milliseconds:
        time.sleep(milliseconds / 1000)


def parse_rate(text: str) -> Decimal:
    """The published rate as a number; what is not one will not become one by trying again.

    The message names no currency and no day: the failure knows its item, and failures of one cause group.
    """
    if text == "N/A":
        raise PermanentItemError("no rate was published on this day (N/A)")
    try:
        rate = Decimal(text)
    except InvalidOperation:
        raise PermanentItemError(f"the rate {text!r} is not a number") from None
    if not (rate.is_finite() and rate > 0):
        raise PermanentItemError(f"the rate {text} is not a positive number")
    return rate


def change_in_percent(rate: Decimal, previous: str | None) -> Decimal | None:
    """The change since the previous fixing; None where there was none."""
    if previous is None or previous == "N/A":
        return None
    return ((rate / Decimal(previous) - 1) * 100).quantize(PLACES)
