"""How messages put numbers, the same way everywhere."""


def many(count: int, what: str) -> str:
    """`1 slot`, `12,345 slots`."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"
