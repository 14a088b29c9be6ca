"""An owner's transactions: one after the other, none of them twice, none after the ownership is gone.

Without I/O of its own, so that the simulator's store is written through the same code.
"""

from collections.abc import Callable

import msgspec

from everyitem.model.errors import IllegalMove, OwnershipLost, StoreError, UsageError


class Position(msgspec.Struct, frozen=True):
    """Where an execution's record stands, as far as its owner knows."""

    writes: int
    round: int
    last_sequence: int
    last_digest: bytes


class Transactions:
    """Runs one owner's transactions.

    What raised `StoreError` may be run again with the very same object: when it turns out to have happened
    after all, it is not done again. Not safe for several threads at once.
    """

    def __init__(self, read: Callable[[], Position | None], *, name: str) -> None:
        """`read` reads the position from the store, None when it was given back.

        It raises `OwnershipLost` when the execution has another owner, `StoreError` for anything else.
        """
        self._read = read
        self._name = name
        #: None while only the store knows.
        self._position: Position | None = None
        #: What was being written when an error came, and the count of transactions it would lead to.
        self._uncertain: tuple[object, int] | None = None
        #: What raised an error and was found written afterwards.
        self._done: object | None = None
        self._given_back = False

    def run(self, write: Callable[[Position], Position], *, what: object = None) -> Position:
        """Run one transaction, or find that it has happened already; the position after it.

        `what` is the caller's object by which a repeated call is known again.
        """
        self.refuse_given_back()
        position = self._current()
        if self._was_done(what):
            return position
        # until the end of the transaction was seen, only the store knows where we are
        self._position = None
        self._uncertain = None if what is None else (what, position.writes + 1)
        try:
            self._position = write(position)
            self._uncertain = None
        except (OwnershipLost, IllegalMove, UsageError):
            # raised for good: nothing is uncertain
            self._uncertain = None
            raise
        except StoreError:
            if not self._happened(what):
                raise
        return self._current()

    def give_back(self, write: Callable[[Position], Position]) -> None:
        """Run the last transaction, which gives the ownership back; safe to repeat."""
        if self._given_back:
            return
        try:
            self.run(write)
            self._given_back = True
        except OwnershipLost:
            # given back by a transaction whose end was not seen is given back all the same
            if not self._given_back:
                raise

    def refuse_given_back(self) -> None:
        """Raise `OwnershipLost` once the ownership was given back."""
        if self._given_back:
            raise self._gone()

    def _gone(self) -> OwnershipLost:
        return OwnershipLost(f"ownership of {self._name} was given back")

    def _happened(self, what: object) -> bool:
        """After an error: whether the store holds the transaction all the same; False while unreadable."""
        try:
            self._current()
        except OwnershipLost:
            raise
        except StoreError:
            return False
        return self._was_done(what)

    def _was_done(self, what: object) -> bool:
        if what is None or self._done is not what:
            return False
        self._done = None
        return True

    def _current(self) -> Position:
        """Where the record stands, read from the store where that is not known."""
        if self._position is None:
            position = self._read()
            if position is None:
                self._given_back = True
                raise self._gone()
            self._position = position
            if self._uncertain is not None:
                what, writes = self._uncertain
                self._uncertain = None
                self._done = what if writes == position.writes else None
        return self._position
