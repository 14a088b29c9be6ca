"""What one seed makes of a day: the batch, its rules, what its items do, and how bad the world is."""

import random
from collections.abc import Container
from dataclasses import dataclass
from enum import StrEnum

from everyitem.model.configuration import ErrorStrategy, ProcessingConfiguration
from everyitem.model.retry import RetryPolicy


class Kind(StrEnum):
    """What an item does when it is called."""

    GOOD = "good"
    #: Raises at its first attempts.
    FAILS = "fails"
    #: Raises PermanentItemError.
    PERMANENT = "permanent"
    #: Raises RetryLater at its first calls.
    LATER = "later"
    #: Kills the worker process at the first, third, … of its first attempts (elsewhere it raises).
    KILLS = "kills"
    #: Hangs at its first attempts, until its worker process is killed (elsewhere it raises).
    HANGS = "hangs"
    #: Returns what is no JSON at its first attempts.
    UNUSABLE = "unusable"
    #: Whatever it would do: what items depend on is out of reach, and it raises for that.
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Fate:
    """One item's fate, the same in every run: what the item does depends on the attempt and the round."""

    kind: Kind = Kind.GOOD
    times: int = 0

    def at(self, attempt: int, round_: int) -> Kind:
        """What it does at an attempt; each redrive finds it two failures better than before."""
        if self.kind is Kind.PERMANENT:
            return Kind.PERMANENT if round_ <= self.times else Kind.GOOD
        if self.kind is Kind.LATER:
            return Kind.LATER
        if attempt > self.times - 2 * (round_ - 1):
            return Kind.GOOD
        return Kind.FAILS if self.kind is Kind.KILLS and attempt % 2 == 0 else self.kind

    def expected(
        self, round_: int, most: int, expired: Container[int], *, at_most_once: bool
    ) -> tuple[bool, int]:
        """Whether it succeeds in a round of at most `most` attempts, and at which attempt its outcome is.

        `expired` attempts failed whatever the item would have done; `at_most_once` repeats no call for the
        sake of its result.
        """
        for attempt in range(1, most + 1):
            what = self.at(attempt, round_)
            if attempt in expired:
                continue
            if what in (Kind.GOOD, Kind.LATER):
                return True, attempt
            if what is Kind.PERMANENT or (what is Kind.UNUSABLE and at_most_once):
                return False, attempt
        return False, most


_GOOD = Fate()


@dataclass(frozen=True, slots=True)
class Promise:
    """An item's call returns `Deferred(timeout)`; an event tells what it would have done `delay` s later."""

    timeout: float
    #: None: it never comes.
    delay: float | None


class Day:
    """Everything that is decided before the day begins; the rest is chance as it goes."""

    def __init__(self, chance: random.Random, later: random.Random, outside: random.Random) -> None:
        """`later` decides about deferred items and `outside` about outages of what items depend on."""
        strategy = chance.choice([*[ErrorStrategy.CONTINUE_ON_ERROR] * 3, *ErrorStrategy])
        stops = strategy is not ErrorStrategy.CONTINUE_ON_ERROR
        self.items = chance.choice([0, 1, 2, 7, 40] if stops else [0, 1, 2, 7, 40, 40, 120, 300])
        failing = chance.choice([0.0, 0.05, 0.4])
        lethal = chance.choice([0.0, 0.0, 0.03, 0.2])
        self.fates = [self._fate(chance, failing, lethal) for _ in range(self.items)]
        #: Items one call takes.
        self.unit = chance.choice([1, 1, 1, 3])
        #: Rounds there will be, where items fail.
        self.rounds = chance.choice([1, 2, 3])
        # how messages travel
        self.loss = chance.choice([0.0, 0.0, 0.002])
        self.doubling = chance.choice([0.0, 0.1])
        self.latency = chance.choice([0.0, 0.001, 0.02])
        self.slow_share = chance.choice([0.0, 0.05])
        # the store: seconds a commit takes; chances that one fails before or after it took effect
        self.save_time = chance.choice([0.0, 0.005, 0.3])
        self.store_faults = chance.choice([0.0, 0.0, 0.05, 0.3])
        self.outages = chance.choice([0.0, 0.0, 0.3])
        # processes: whether a second one is started, whether they are stopped and woken, where they run
        self.doubles = chance.choice([0.0, 0.3])
        self.freezes = chance.choice([0.0, 0.0, 0.3])
        self.crashes = chance.choice([0.0, 0.5, 0.9])
        self.one_host = chance.random() < 0.7
        self.clock_steps = chance.choice([0, 0, 1, 4])
        self.at_most_once = chance.random() < 0.25
        self.configuration = ProcessingConfiguration(
            processor="simulated",
            retry=RetryPolicy(max_retries=chance.choice([0, 1, 3]), initial_delay=0.05, max_delay=1.0),
            strategy=strategy,
            tolerated_failure_count=chance.choice([None, 0, 3]),
            checkpoint_interval=chance.choice([1, 7, 100, 1000]),
            checkpoint_interval_seconds=chance.choice([0.1, 30.0]),
            enable_checkpointing=self.at_most_once or chance.random() < 0.9,
            at_most_once=self.at_most_once,
            in_doubt_limit=chance.choice([1, 5, 100]),
            timeout=chance.choice([2.0, 3600.0, 3600.0]),
            drain=chance.choice([0.05, 30.0]),
            adapts=chance.random() < 0.5,
        )
        #: How likely a run is to meet an outage of what items depend on.
        self.refusals = outside.choice([0.0, 0.0, 0.0, 0.9])
        self.max_attempts = self.configuration.retry.max_retries + 1
        share = later.choice([0.0, 0.0, 0.0, 0.05, 0.4])
        #: What items defer at their first, second, … attempt; the attempts after that are answered at once.
        self.promises = {
            index: [self._promise(later) for _ in range(later.choice([1, 1, 2, 5]))]
            for index in range(self.items)
            if share and later.random() < share
        }

    def promise(self, index: int, attempt: int, what: Kind) -> Promise | None:
        """What an item that would do `what` promises instead; None where it does it at once."""
        promises = self.promises.get(index, ())
        if attempt > len(promises) or what not in (Kind.GOOD, Kind.FAILS, Kind.PERMANENT):
            return None
        return promises[attempt - 1]

    def expected(self, index: int, round_: int, expired: Container[int] = ()) -> tuple[bool, int]:
        """Whether an item succeeds in a round where nothing disturbs it, and at which attempt.

        `expired` are the attempts it deferred and whose event did not come in time, and those that an outage
        took.
        """
        fate = self.fates[index]
        return fate.expected(round_, self.max_attempts, expired, at_most_once=self.at_most_once)

    @staticmethod
    def _promise(later: random.Random) -> Promise:
        timeout = later.choice([0.2, 2.0, 30.0])
        return Promise(timeout, later.choice([0.0, 0.01, 0.3, 1.0, timeout, timeout + 0.5, None]))

    @staticmethod
    def _fate(chance: random.Random, failing: float, lethal: float) -> Fate:
        luck = chance.random()
        if luck < lethal:
            return Fate(chance.choice([Kind.KILLS, Kind.HANGS]), chance.choice([1, 2, 5]))
        if luck < lethal + failing:
            kind = chance.choice(
                [Kind.FAILS, Kind.FAILS, Kind.FAILS, Kind.PERMANENT, Kind.LATER, Kind.UNUSABLE]
            )
            return Fate(kind, chance.choice([1, 2, 5]))
        return _GOOD

    def __str__(self) -> str:
        how = self.configuration
        difficult = sum(fate.kind is not Kind.GOOD for fate in self.fates)
        return (
            f"{self.items} items ({difficult} of them difficult), "
            f"{how.strategy}, at most {self.max_attempts} attempts, a checkpoint every "
            f"{how.checkpoint_interval} outcomes or {how.checkpoint_interval_seconds:g} s, "
            f"timeout {how.timeout:g} s, {self.unit} items a call, up to {self.rounds} rounds"
            + (f", {len(self.promises)} of them deferred" if self.promises else "")
            + (f", at most once with {how.in_doubt_limit} in doubt" if self.at_most_once else "")
        )
