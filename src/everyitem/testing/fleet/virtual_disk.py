"""A store that takes its time and forgets everything: one transaction at a time, with all that waits."""


class VirtualDisk:
    """Says when which saves are durable, as the writer thread would."""

    def __init__(self, commit: float) -> None:
        """One transaction takes `commit` seconds, however much is in it."""
        self._commit = commit
        self._asked = 0
        #: The ticket the transaction under way ends with; None: there is none.
        self._under_way: int | None = None

    def save(self, ticket: int, at: float) -> float | None:
        """Save up to this ticket; returns when the transaction ends that was begun for it, if one was."""
        self._asked = ticket
        return self._begin(at) if self._under_way is None else None

    def ended(self, at: float) -> tuple[int, float | None]:
        """The transaction has ended: what is durable now, and when the next one ends that has begun."""
        if self._under_way is None:
            raise AssertionError("no transaction was under way")
        saved, self._under_way = self._under_way, None
        return saved, self._begin(at) if self._asked > saved else None

    def _begin(self, at: float) -> float:
        self._under_way = self._asked
        return at + self._commit
