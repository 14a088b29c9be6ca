"""How a batch is, read from its record: for whoever shows batches of other processes. Pure."""

from everyitem.model.figures import Figures
from everyitem.ports.execution import ExecutionRecord
from everyitem.ports.observer import Vitals
from everyitem.ports.progress import Progress


def vitals_of(record: ExecutionRecord) -> Vitals:
    """The vitals as the owner published them last; while nobody works on it nothing moves."""
    counters, progress = record.counters, record.progress or Progress()
    figures = progress.figures
    live = progress if record.owned else Progress()
    succeeded = max(counters.succeeded, live.succeeded)
    failed = max(counters.failed, live.failed)
    return Vitals(
        batch_id=record.batch_id,
        execution=record.execution,
        status=record.status,
        items=record.item_count,
        succeeded=succeeded,
        failed=failed,
        open=max(0, record.item_count - succeeded - failed),
        in_doubt=record.in_doubt,
        in_flight=live.in_flight,
        retries_waiting=live.retries_waiting,
        rate_per_second=live.rate_per_second,
        eta_seconds=live.eta_seconds,
        checkpoints=counters.checkpoints,
        last_checkpoint_at=record.last_checkpoint_at,
        active=max(counters.active_ms, live.active_ms) / 1000,
        figures=figures if record.owned else at_rest(figures),
    )


def at_rest(figures: Figures) -> Figures:
    """The same with nothing at work."""
    return Figures(
        **{
            name: getattr(figures, name)
            for name in Figures.__struct_fields__
            if name not in ("busy", "slots")
        }
    )
