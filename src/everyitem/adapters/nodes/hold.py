"""The hold after a failure that may stop the batch: nothing starts until the engine has heard of it.

    failure in a slot ──forestall──▶ handed in ──begin──▶ on hold ──a lease dealt in knowledge──▶ over

None of this locks; the queue does, but for `forestall`.
"""

from collections.abc import Collection, Iterable, Sequence

from everyitem.adapters.nodes.claims import Claim, QueuedLease
from everyitem.model.outcome import Failure
from everyitem.ports.node import Lease
from everyitem.work.failures import is_final


class Hold:
    """Whether the slots of one shared queue may start anything."""

    def __init__(self, *, max_attempts: int) -> None:
        self._max_attempts = max_attempts
        #: Claims about to be handed in with such a failure; nothing starts meanwhile.
        self._coming: set[Claim] = set()
        #: Items the engine hears are free only after it has heard of the failure.
        self._withheld: list[Sequence[int]] = []
        self._is_on = False

    @property
    def is_coming(self) -> bool:
        """Whether a failure that may stop the batch is about to be handed in."""
        return bool(self._coming)

    def is_due_to(self, claim: Claim, failures: Iterable[Failure]) -> bool:
        """Whether one of these failures of the claim is final where that may stop the batch."""
        return claim.until_failure and any(is_final(failure, self._max_attempts) for failure in failures)

    def forestall(self, claim: Claim, leases: Collection[QueuedLease]) -> None:
        """Start nothing from this moment on: without the lock, since who holds it may be starting more.

        What the claims lose here nobody gives back; `begin` drops it for good, so that it ends up absent.
        """
        self._coming.add(claim)
        for queued in list(leases):
            for running in list(queued.claims):
                running.shorten()

    def handed_in(self, claim: Claim) -> None:
        """The claim has come, with the failure or without."""
        self._coming.discard(claim)

    def begin(self, leases: Iterable[QueuedLease]) -> None:
        """Nothing of these leases starts any more."""
        self._is_on = True
        for queued in leases:
            self.withhold(queued)

    def withhold(self, queued: QueuedLease) -> None:
        """Give back what nobody has started, by leaving it absent."""
        self._withheld += [queued.lease.indices[first:stop] for first, stop, _ in queued.unclaimed]
        queued.stop()

    def stops(self, lease: Lease) -> bool:
        """Whether a lease that has come must not be started: it was dealt in ignorance of the failure.

        One that holds items which were withheld was dealt after the engine had heard of them, and so of the
        failure before them: with it the hold is over.
        """
        if not self._is_on:
            return False
        ends = (*lease.indices[:1], *lease.indices[-1:])
        if not any(index in indices for index in ends for indices in self._withheld):
            return True
        self._is_on = False
        self._withheld.clear()
        return False
