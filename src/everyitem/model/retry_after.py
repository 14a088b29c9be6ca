"""How long a server asks to be left alone: HTTP's `Retry-After` (RFC 9110, section 10.2.3)."""

import math
import time


def seconds_asked(header: str | None, *, longest: float = math.inf) -> float | None:
    """The seconds from now a `Retry-After` asks for, at most `longest`; None when it says nothing.

    It says a number of seconds or a date, which is read against this machine's clock; one that has passed
    means at once. A header that is missing (None), or neither, says nothing.
    """
    value = "" if header is None else header.strip()
    if value.isascii() and value.isdigit():
        return min(float(value), longest)
    # imported here: every worker loads this module, and hardly any reads a date
    from datetime import UTC
    from email.utils import parsedate_to_datetime

    try:
        when = parsedate_to_datetime(value)
        # the obsolete asctime form names no zone: it is in GMT, as all dates of HTTP
        zoned = when if when.tzinfo is not None else when.replace(tzinfo=UTC)
        return min(max(0.0, zoned.timestamp() - time.time()), longest)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
