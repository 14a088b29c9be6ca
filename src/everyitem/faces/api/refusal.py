"""An `ERROR` response for what kept a batch from being executed at all."""

from collections.abc import Sequence

from everyitem.faces.api.response import Response
from everyitem.model.errors import ContentDiffers, DocumentRefused, EveryitemError, Problem, UnknownProcessor
from everyitem.model.response import MOST_TEXTS, refuse


def refusal(error: EveryitemError, *, batch_id: str | None = None) -> Response:
    """The response to a batch that could not be executed; nothing was stored of it."""
    problems = _problems_of(error)
    code = error.refusal_code if isinstance(error, DocumentRefused) else error.code
    return Response(
        refuse(code, _message(error, problems), problems).to_json(),
        batch_id=batch_id,
        may_pass=isinstance(error, DocumentRefused) and error.may_pass,
    )


def _problems_of(error: EveryitemError) -> Sequence[Problem]:
    match error:
        case DocumentRefused():
            return error.problems
        case UnknownProcessor():
            return [Problem("$.processingConfiguration.processor", str(error), error.code)]
        case ContentDiffers():
            return [Problem("$.batchId", str(error), error.code)]
        case _:
            return [Problem("", str(error), error.code)]


def _message(error: EveryitemError, problems: Sequence[Problem]) -> str:
    if not isinstance(error, DocumentRefused):
        return str(error)
    if len(problems) == 1:
        return f"The batch document was refused: {problems[0]}"
    listed = "all" if len(problems) <= MOST_TEXTS else f"the first {MOST_TEXTS:,}"
    return f"The batch document was refused: {len(problems):,} problems, {listed} in details"
