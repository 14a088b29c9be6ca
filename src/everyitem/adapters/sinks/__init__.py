"""Result sinks: where the results of single items go, beside the store."""

from everyitem.ports.sink import ResultSink
from everyitem.settings.platform import RestAccess, Results


def build_sink(results: Results, access: RestAccess) -> ResultSink | None:
    """The sink of the settings; None where results stay in the store.

    Raises `UsageError` for a secret that cannot be read, or a URL nothing can be asked at.
    """
    assert access.url is not None or results.to == "store"
    match results.to:
        case "entities":
            from everyitem.adapters.sinks.cyoda_entities import ResultEntities

            return ResultEntities(
                str(access.url),
                credentials=access.credentials(),
                model=results.model,
                patience=results.patience_seconds,
            )
        case "transitions":
            from everyitem.adapters.sinks.cyoda_transitions import ItemTransitions

            return ItemTransitions(
                str(access.url),
                credentials=access.credentials(),
                succeeded=results.transition,
                failed=results.failed_transition,
                field=results.field,
                parallel=results.parallel,
                patience=results.patience_seconds,
            )
        case _:
            return None
