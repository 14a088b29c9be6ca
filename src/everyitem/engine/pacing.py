"""What may begin now: the circuit breaker and the rate limit, in one answer for the dealer.

Pure. Where less may begin than there are slots for, what is dealt must begin at once: a lease that waits
in the queue of a node would begin when nobody counts any more.
"""

from everyitem.engine.breaker import Breaker, Standing
from everyitem.engine.dealer import Allowance, Dealer
from everyitem.engine.rate_limit import RateLimit


class Pacing:
    """Says how many items may begin, and when to ask again."""

    def __init__(self, *, per_second: float | None, unit: int, at: float) -> None:
        """`per_second` items may begin in a second, `unit` go into one call."""
        self.breaker = Breaker()
        self._unit = unit
        self._rate = None if per_second is None else RateLimit(per_second, unit=unit, at=at)
        self._is_short = False

    @property
    def is_undisturbed(self) -> bool:
        """Whether as much may begin as there are slots for."""
        return self.breaker.standing is Standing.CLOSED

    def allowance(self, at: float, dealer: Dealer) -> Allowance:
        """What may begin now."""
        allowance = Allowance()
        if dealer.is_idle:
            self.breaker.nothing_runs(at)
        allowed = self.breaker.allowance(at, leased=dealer.leased, slots=dealer.slots, unit=self._unit)
        if allowed is not None:
            allowance.items, allowance.at_once = allowed, True
            allowance.far = self.breaker.standing is Standing.OPEN
        if self._rate is not None:
            allowance.items = min(allowance.items, self._rate.available(at))
            allowance.at_once = True
        return allowance

    def dealt(self, items: int, *, more_wanted: bool) -> None:
        """So many items were told to begin; `more_wanted`: there is work and a slot for others."""
        if items:
            self.breaker.probes()
            if self._rate is not None:
                self._rate.take(items)
        self._is_short = more_wanted

    def next_at(self) -> list[float | None]:
        """When more may begin."""
        by_rate = self._rate.next_at() if self._rate is not None and self._is_short else None
        return [by_rate, self.breaker.next_at()]
