"""The checks of the specification's section 5: what a response says of its own trustworthiness.

Pure functions over facts handed in. The three pre-processing checks restate what intake has proved; of the
six that follow execution the first five decide: one of them failing turns a success into a SYSTEM_ERROR.
"""

from collections.abc import Mapping, Sequence

import msgspec

from everyitem.model.totals import ControlTotal
from everyitem.model.wording import many


class ExecutionFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known when an execution ends; counts are over all items and the round in force."""

    #: Items of the batch.
    items: int
    succeeded: int
    failed: int
    #: Attempts after the first, and ranges taken over by another node, over all runs.
    retried: int
    steals: int
    #: Active milliseconds, and busy microseconds of all workers, over all runs.
    active_ms: int
    busy_us: int
    #: Checkpoints as counted while running, and segments found in the store, over all runs.
    checkpoints: int
    segments: int
    runs: int
    #: Slots allocated, and how many of them the batch was to use at first.
    slots: int
    parallelism: int
    #: Counts derived again from the segments.
    recounted_succeeded: int
    recounted_failed: int
    #: Digest of the items as accepted, and of those the workers were given.
    accepted_digest: str
    executed_digest: str
    #: Sample of item durations in microseconds, sorted.
    durations_us: Sequence[int] = ()
    #: What the store found wrong with itself.
    store_faults: Sequence[str] = ()
    #: The control totals, by name.
    totals: Mapping[str, ControlTotal] = {}
    #: Final failures that are tolerated; None without a tolerance.
    tolerated: int | None = None
    #: Whether the number of slots in use was found while the batch ran.
    adapts: bool = False
    #: Things intake had to say.
    warnings: int = 0
    #: Shares (0 to 1) of the time they were needed at which store and slots were there.
    store_availability: float = 1.0
    node_availability: float = 1.0

    @property
    def processed(self) -> int:
        """Items with an outcome."""
        return self.succeeded + self.failed

    @property
    def parallelism_achieved(self) -> float:
        """Busy time of all workers over active time; 0 where no time passed."""
        return self.busy_us / 1000 / self.active_ms if self.active_ms > 0 else 0.0


class CheckResult(msgspec.Struct, frozen=True):
    """One check: whether it passed, and what was seen."""

    passed: bool
    detail: str


class Checks(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """All checks, under the names of contract section 2 and, before them, those made at intake."""

    resource_availability: CheckResult
    batch_items: CheckResult
    configuration: CheckResult
    completion_status: CheckResult
    result_consistency: CheckResult
    checkpoint_integrity: CheckResult
    item_integrity: CheckResult
    result_accuracy: CheckResult
    resource_utilization: CheckResult
    #: Only where control totals are asked for.
    control_totals: CheckResult | msgspec.UnsetType = msgspec.UNSET

    def failures(self) -> list[str]:
        """The deciding checks that failed, as texts for `systemErrors`."""
        deciding = {
            "completionStatus": self.completion_status,
            "resultConsistency": self.result_consistency,
            "checkpointIntegrity": self.checkpoint_integrity,
            "itemIntegrity": self.item_integrity,
            "resultAccuracy": self.result_accuracy,
        }
        if self.control_totals is not msgspec.UNSET:
            deciding["controlTotals"] = self.control_totals
        return [
            f"check {name} failed: {check.detail}" for name, check in deciding.items() if not check.passed
        ]


#: Below this share of busy slots, and above this active time, resources count as badly used.
_LEAST_UTILIZATION = 0.5
_TOO_SHORT_TO_JUDGE_MS = 1000


def check_execution(facts: ExecutionFacts) -> Checks:
    """Every check of section 5 over one ended execution."""
    return Checks(
        resource_availability=_resource_availability(facts),
        batch_items=CheckResult(
            passed=True, detail=f"{many(facts.items, 'item')} accepted, all ids distinct"
        ),
        configuration=CheckResult(
            passed=True, detail=f"complete and valid, {many(facts.warnings, 'warning')}"
        ),
        completion_status=_completion_status(facts),
        result_consistency=_result_consistency(facts),
        checkpoint_integrity=_checkpoint_integrity(facts),
        item_integrity=_item_integrity(facts),
        result_accuracy=_result_accuracy(facts),
        resource_utilization=_resource_utilization(facts),
        control_totals=_control_totals(facts) if facts.totals else msgspec.UNSET,
    )


def _resource_availability(facts: ExecutionFacts) -> CheckResult:
    return CheckResult(
        passed=facts.slots > 0,
        detail=f"{many(facts.slots, 'slot')} allocated, {facts.parallelism} to be used at first",
    )


def _completion_status(facts: ExecutionFacts) -> CheckResult:
    open_items = facts.items - facts.processed
    if open_items == 0:
        return CheckResult(
            passed=True, detail=f"{many(facts.processed, 'outcome')} for {many(facts.items, 'item')}"
        )
    return CheckResult(
        passed=False, detail=f"{many(open_items, 'item')} of {facts.items:,} without an outcome"
    )


def _result_consistency(facts: ExecutionFacts) -> CheckResult:
    counts = {
        "items": facts.items,
        "succeeded": facts.succeeded,
        "failed": facts.failed,
        "retried": facts.retried,
        "active milliseconds": facts.active_ms,
        "busy microseconds": facts.busy_us,
    }
    negative = [f"{name} is {count}" for name, count in counts.items() if count < 0]
    if negative:
        return CheckResult(passed=False, detail="; ".join(negative))
    if facts.processed > facts.items:
        return CheckResult(
            passed=False, detail=f"{facts.processed:,} outcomes were counted for {facts.items:,} items"
        )
    return CheckResult(
        passed=True,
        detail=f"{facts.succeeded:,} succeeded + {facts.failed:,} failed = {facts.processed:,} processed",
    )


def _checkpoint_integrity(facts: ExecutionFacts) -> CheckResult:
    if facts.store_faults:
        return CheckResult(passed=False, detail="; ".join(facts.store_faults[:10]))
    if facts.segments != facts.checkpoints:
        return CheckResult(
            passed=False,
            detail=f"{facts.segments:,} stored of {many(facts.checkpoints, 'checkpoint')} created",
        )
    return CheckResult(
        passed=True, detail=f"{many(facts.segments, 'checkpoint')}, every digest and link matches"
    )


def _item_integrity(facts: ExecutionFacts) -> CheckResult:
    if facts.accepted_digest == facts.executed_digest:
        return CheckResult(passed=True, detail=f"executed as accepted, SHA-256 {facts.accepted_digest[:16]}")
    return CheckResult(
        passed=False,
        detail=f"SHA-256 as accepted {facts.accepted_digest[:16]}, as executed {facts.executed_digest[:16]}",
    )


def _result_accuracy(facts: ExecutionFacts) -> CheckResult:
    counted = (facts.succeeded, facts.failed)
    recounted = (facts.recounted_succeeded, facts.recounted_failed)
    seen = f"{recounted[0]:,} succeeded and {recounted[1]:,} failed"
    if counted == recounted:
        return CheckResult(passed=True, detail=f"counted again from the checkpoints: {seen}")
    return CheckResult(
        passed=False,
        detail=f"the checkpoints hold {seen}, but {counted[0]:,} and {counted[1]:,} were counted",
    )


def _resource_utilization(facts: ExecutionFacts) -> CheckResult:
    achieved = facts.parallelism_achieved
    if facts.adapts:
        # no number was promised: slots are left idle on purpose where more of them do not help
        return CheckResult(
            passed=True,
            detail=f"{achieved:.2f} of {many(facts.slots, 'allocated slot')} busy on average; "
            "how many to use was found while the batch ran",
        )
    share = achieved / facts.parallelism if facts.parallelism > 0 else 0.0
    short = facts.active_ms < _TOO_SHORT_TO_JUDGE_MS
    judged = "; too short a run to judge" if short else ""
    return CheckResult(
        passed=short or share >= _LEAST_UTILIZATION,
        detail=f"{achieved:.2f} of {many(facts.parallelism, 'slot')} busy on average ({share:.0%}){judged}",
    )


def _control_totals(facts: ExecutionFacts) -> CheckResult:
    faults = [fault for name, total in facts.totals.items() if (fault := total.fault(name))]
    if faults:
        return CheckResult(passed=False, detail="; ".join(faults))
    sums = [f"{name}: {total.text()}" for name, total in facts.totals.items()]
    return CheckResult(passed=True, detail="summed again from items and checkpoints; " + "; ".join(sums))
