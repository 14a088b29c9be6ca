"""What is said when an execution has ended: figures, causes, and what one can do next."""

import shlex
from collections.abc import Sequence

from everyitem.faces.api.response import Response
from everyitem.faces.cli.display.figures import causes, count, duration, rate
from everyitem.faces.cli.terminal import safe
from everyitem.model.wording import many

_MOST_PROBLEMS = 5
_MOST_CAUSES = 5


def summary_lines(
    response: Response, failures: Sequence[tuple[str, int]], *, options: str = "", executing: str = ""
) -> list[str]:
    """The end of a run in a few lines.

    `failures` are counts by cause. `options` make the suggested commands work as printed, `executing` those
    of them that execute items.
    """
    lines = [_headline(response)]
    if response.items_processed is not None:
        lines.append(f"  {_figures(response)}")
    shown, more = causes(failures, _MOST_CAUSES)
    lines += [f"  {number:>9}  {cause}" for number, cause in shown]
    if more:
        lines.append(f"  {'':9}  and {many(more, 'more cause')}")
    if response.status == "ERROR":
        problems = [problem for texts in response.details.values() for problem in texts]
        if len(problems) == 1 and problems[0] in (response.error_message or ""):
            problems = []  # the headline says it
        lines += [f"  {safe(problem)}" for problem in problems[:_MOST_PROBLEMS]]
        if len(problems) > _MOST_PROBLEMS:
            lines.append(f"  and {count(len(problems) - _MOST_PROBLEMS)} more in the response")
    lines += [f"  {hint}" for hint in _next_steps(response, options, executing)]
    return lines


def _headline(response: Response) -> str:
    name = safe(response.batch_id or "batch")
    if response.status == "SUCCESS":
        how = (
            "every item succeeded" if not response.items_failed else f"{count(response.items_failed)} failed"
        )
        return f"{name}: SUCCESS, {how}{_by_whom(response)}"
    return f"{name}: {response.error_code}: {safe(response.error_message)}"


def _by_whom(response: Response) -> str:
    if response.fresh:
        return ""
    return "  (carried out elsewhere)" if response.attached else "  (recorded before; nothing ran now)"


def _figures(response: Response) -> str:
    processed = response.items_processed or 0
    figures = [
        many(processed, "item"),
        f"{count(response.items_successful or 0)} succeeded",
    ]
    if response.items_failed:
        figures.append(f"{count(response.items_failed)} failed")
    milliseconds = response.metadata.get("executionDuration")
    if isinstance(milliseconds, int | float):
        figures.append(duration(milliseconds / 1000))
        if milliseconds:
            figures.append(rate(processed * 1000 / milliseconds))
    retried, checkpoints = response.metadata.get("itemsRetried"), response.metadata.get("checkpointsCreated")
    if retried:
        figures.append(f"{count(retried)} retried")
    if checkpoints:
        figures.append(many(checkpoints, "checkpoint"))
    return ", ".join(figures)


def suggestion(command: str, batch_id: str, *more: str, options: str = "") -> str:
    """A command about a batch that works as printed, also where the id looks like an option."""
    named = " ".join((shlex.quote(safe(batch_id)), *more))
    return (
        f"everyitem {command}{options} -- {named}"
        if named.startswith("-")
        else f"everyitem {command} {named}{options}"
    )


def _next_steps(response: Response, options: str, executing: str) -> list[str]:
    if response.batch_id is None or response.execution is None:
        return []
    batch_id = response.batch_id
    steps = []
    if response.status == "ERROR":
        steps.append(f"continue it:        {suggestion('resume', batch_id, options=executing)}")
    if response.items_failed:
        steps.append(f"what failed:        {suggestion('failures', batch_id, options=options)}")
        steps.append(f"one item's story:   {suggestion('explain', batch_id, 'ITEM_ID', options=options)}")
        steps.append(f"run them again:     {suggestion('redrive', batch_id, options=executing)}")
    return steps
