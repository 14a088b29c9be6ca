"""The report as one page of HTML: no script, no request, everything from outside escaped."""

import base64
import hashlib
import html
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from everyitem.faces.api.report.facts import CheckpointFact, Facts, Pace, Report
from everyitem.faces.api.report.style import STYLE
from everyitem.model.totals import less

#: Size of the curve, and the room for its labels, in units of its own.
_WIDE, _HIGH, _LEFT, _BELOW = 860, 220, 60, 26

_STYLE_DIGEST = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
#: What a page may do (Content-Security-Policy): look as it does, and nothing else.
POLICY = f"default-src 'none'; style-src 'sha256-{_STYLE_DIGEST}'; base-uri 'none'; form-action 'none'"

#: Characters no page may hold: controls other than white space, and halves of surrogate pairs.
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


def render(report: Report) -> str:
    """The page of one report."""
    facts = report.facts
    parts: list[Callable[[Facts], str]] = [
        *(_verdict, _figures, _totals, _checks, _timeline, _curve, _availability, _causes, _slowest),
        *(_comparison, _checkpoints, _environment),
    ]
    stamp = "" if facts.final else f'<div class="stamp" aria-hidden="true"><span>{_mark(facts)}</span></div>'
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_mark(facts) + ': ' if not facts.final else ''}{_text(facts.batch_id)}</title>"
        f"<style>{STYLE}</style></head><body>{stamp}<main>"
        f"<header><h1>{_name(facts.batch_id)}</h1>"
        f"<p>Batch execution {facts.execution}, round {facts.round}, by item processor "
        f"<b>{_name(facts.processor)}</b></p>"
        f"<p>{_when(facts.created_at)} to {_when(facts.finished_at) or 'no end yet'}</p></header>"
        + "\n".join(part(facts) for part in parts)
        + _signatures(facts)
        + _origin(report)
        + "</main></body></html>\n"
    )


def _mark(facts: Facts) -> str:
    return "NOT SOUND" if facts.faults else "NOT FINISHED"


def _verdict(facts: Facts) -> str:
    if facts.faults:
        listed = "".join(f"<li>{_name(fault)}</li>" for fault in facts.faults[:20])
        said = f"{len(facts.faults):,} faults were found in what is stored; this page cannot be signed."
        return _banner("NOT SOUND", f"{said}<ul>{listed}</ul>", bad=True)
    if not facts.final:
        reason = f" {_name(facts.error_code)}: {_name(facts.error_message)}." if facts.error_code else ""
        said = (
            f"State {facts.state}, {facts.open:,} items without an outcome.{reason} "
            "The figures are those of the last checkpoint; this page cannot be signed."
        )
        return _banner("NOT FINISHED", said, bad=True)
    failed = f", {facts.failed:,} of them failed" if facts.failed else ", every one succeeded"
    said = (
        f"{facts.items:,} items, each with one recorded outcome{failed}. Everything stored was checked anew."
    )
    return _banner("Finished with failed items" if facts.failed else "Finished", said, bad=False)


def _banner(title: str, said: str, *, bad: bool) -> str:
    return f'<div class="verdict{" bad" if bad else ""}"><strong>{title}</strong>{said}</div>'


def _figures(facts: Facts) -> str:
    figures = {
        "items": f"{facts.items:,}",
        "succeeded": f"{facts.succeeded:,}",
        "failed": f"{facts.failed:,}",
        "open": f"{facts.open:,}",
        "in doubt": f"{facts.in_doubt:,}",
        "success rate": f"{100 * facts.success_rate:.4f}\N{NO-BREAK SPACE}%",
        "retried": f"{facts.retried:,}",
        "active time": _duration(facts.active_seconds),
    }
    if not facts.in_doubt:
        del figures["in doubt"]
    cells = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in figures.items())
    return f'<h2>Counts</h2><dl class="figures">{cells}</dl>'


def _totals(facts: Facts) -> str:
    if not facts.totals:
        return ""
    rows = []
    for name, sums in facts.totals.items():
        gaps = sums.get("notSummed", {}).get("items")
        judged = _judged(passed=bool(sums.get("addsUp")), yes="adds up", no="DOES NOT ADD UP")
        rows.append(
            f'<p class="equation"><b>{_name(name)}</b>: {_money(sums["input"])} input = '
            f"{_money(sums['succeeded'])} succeeded + {_money(sums['failed'])} failed + "
            f"{_money(sums['open'])} open {judged}</p>"
        )
        if "accepted" in sums:
            rows.append(
                f'<p class="soft">Accepted: {_money(sums["accepted"])}; corrected by redrives: '
                f"{_money(sums['corrections'])}.</p>"
            )
        if gaps:
            rows.append(
                f'<p class="bad">Without such an amount, and in none of these sums: {gaps:,} items.</p>'
            )
    points = facts.checkpoints
    if points.with_totals:
        rows.append(
            f'<p class="soft">The equation holds at {points.adding_up:,} of {points.with_totals:,} '
            "checkpoints.</p>"
        )
    return "<h2>Control totals</h2>" + "".join(rows)


def _checks(facts: Facts) -> str:
    rows = [(_name(check.name), _judged(passed=check.passed), _name(check.detail)) for check in facts.checks]
    found = f"{len(facts.faults):,} faults" if facts.faults else "every digest, link, count and sum matches"
    rows.append(("verified for this report", _judged(passed=not facts.faults), found))
    return "<h2>Checks</h2>" + _table(("check", "", "seen"), rows)


def _timeline(facts: Facts) -> str:
    return "<h2>Timeline</h2>" + _table(
        ("when (UTC)", "what"), [(_when(one.at), _name(one.what)) for one in facts.timeline]
    )


def _curve(facts: Facts) -> str:
    if not facts.paces:
        return ""
    top = _round_up(max(one.items_per_second for one in facts.paces))
    start, end = facts.paces[0].start, facts.paces[-1].end
    area, bottom = _WIDE - _LEFT, _HIGH - _BELOW

    def place(at: float, rate: float) -> str:
        across = _LEFT + area * (at - start) / (end - start)
        return f"{across:.1f},{bottom - (bottom - 10) * rate / top:.1f}"

    steps = [place(at, one.items_per_second) for one in facts.paces for at in (one.start, one.end)]
    grid = "".join(
        f'<line class="axis" x1="{_LEFT}" x2="{_WIDE}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{top * share:,.6g}</text>'
        for share in (0, 0.5, 1)
        for y in (bottom - (bottom - 10) * share,)
    )
    ends = f"{_LEFT},{bottom} {' '.join(steps)} {_WIDE},{bottom}"
    return (
        "<h2>Throughput</h2>"
        f'<svg viewBox="0 0 {_WIDE} {_HIGH}" role="img" aria-label="items per second over time">{grid}'
        f'<polygon class="area" points="{ends}"/><polyline class="line" points="{" ".join(steps)}"/>'
        f'<text x="{_LEFT}" y="{_HIGH - 6}">{_clock(facts.paces[0], end=False)}</text>'
        f'<text x="{_WIDE}" y="{_HIGH - 6}" text-anchor="end">{_clock(facts.paces[-1], end=True)}</text>'
        "</svg>"
        '<p class="soft">Items per second over the time that passed, pauses and downtime included; the '
        "outcomes of a checkpoint count as spread evenly over the time since the one before.</p>"
    )


def _availability(facts: Facts) -> str:
    found = facts.availability
    share = 100 * found.active_seconds / found.elapsed_seconds if found.elapsed_seconds else 100.0
    return "<h2>Availability</h2>" + _table(
        ("", ""),
        [
            ("from acceptance to the last record", _duration(found.elapsed_seconds)),
            ("active", f"{_duration(found.active_seconds)} ({share:.1f} %)"),
            (
                "not active: starting, pauses, downtime between runs, time between rounds",
                _duration(found.inactive_seconds),
            ),
            ("runs", f"{found.runs:,}, in {found.rounds:,} rounds"),
        ],
        right=(1,),
    )


def _causes(facts: Facts) -> str:
    if not facts.causes:
        return ""
    return "<h2>Failures by cause</h2>" + _table(
        ("items", "code", "type", "message of the first", "first items"),
        [
            (
                f"{cause.items:,}",
                _name(cause.code),
                _name(cause.type),
                _name(cause.message),
                ", ".join(map(_name, cause.first_items)),
            )
            for cause in facts.causes
        ],
        right=(0,),
    )


def _slowest(facts: Facts) -> str:
    if not facts.slowest:
        return ""
    return "<h2>Slowest items</h2>" + _table(
        ("item", "outcome", "attempts", "milliseconds"),
        [
            (
                _name(one.item_id),
                "succeeded" if one.succeeded else "failed",
                f"{one.attempts:,}",
                f"{one.duration_ms:,.3f}",
            )
            for one in facts.slowest
        ],
        right=(2, 3),
    )


def _comparison(facts: Facts) -> str:
    before = facts.earlier
    if before is None:
        return ""
    rows: list[tuple[str, str, str, str]] = [
        _compared("items", before.items, facts.items),
        _compared("succeeded", before.succeeded, facts.succeeded),
        _compared("failed", before.failed, facts.failed),
        (
            "active time",
            _duration(before.active_seconds),
            _duration(facts.active_seconds),
            f"{facts.active_seconds - before.active_seconds:+,.1f} s",
        ),
    ]
    for name, sums in facts.totals.items():
        if name in before.totals:
            old, new = before.totals[name]["input"], str(sums["input"])
            rows.append((f"total {_name(name)}", _money(old), _money(new), _difference(old, new)))
    return (
        f"<h2>Compared with {_name(before.batch_id)}, execution {before.execution}</h2>"
        f'<p class="soft">This is {_name(before.relation)}; it ended {_when(before.finished_at)}.</p>'
        + _table(("", "before", "now", "difference"), rows, right=(1, 2, 3))
    )


def _compared(name: str, before: int, now: int) -> tuple[str, str, str, str]:
    return name, f"{before:,}", f"{now:,}", f"{now - before:+,}"


def _difference(before: str, now: str) -> str:
    return f"{less(Decimal(now), Decimal(before)):+,f}"


def _checkpoints(facts: Facts) -> str:
    points = facts.checkpoints
    if not points.count:
        return "<h2>Checkpoints</h2><p>None yet.</p>"
    hidden = points.count - len(points.first) - len(points.last)
    tables = _checkpoint_table(points.first)
    if hidden:
        tables += f'<p class="soft">{hidden:,} more; `everyitem checkpoints` lists them all.</p>'
        tables += _checkpoint_table(points.last)
    elif points.last:
        tables = _checkpoint_table([*points.first, *points.last])
    return (
        f"<h2>Checkpoints: {points.count:,}</h2>"
        "<p>Each hash covers the one before; the last stands for all: "
        f'<span class="hash">{facts.chain_digest}</span></p>{tables}'
    )


def _checkpoint_table(points: Sequence[CheckpointFact]) -> str:
    names = list(dict.fromkeys(name for point in points for name in point.totals))
    heads = ("no.", "round", "written (UTC)", "succeeded", "failed", *(f"open {_name(one)}" for one in names))
    return _table(
        (*heads, "SHA-256"),
        [
            (
                f"{point.sequence:,}",
                f"{point.round:,}",
                _when(point.created_at),
                f"{point.succeeded:,}",
                f"{point.failed:,}",
                *(_money(point.totals[name]["open"]) if name in point.totals else "" for name in names),
                f'<span class="hash">{point.digest}</span>',
            )
            for point in points
        ],
        right=(0, 1, 3, 4, *range(5, 5 + len(names))),
    )


def _environment(facts: Facts) -> str:
    rows = [(_name(name), _name(value)) for name, value in facts.settings.items()]
    rows.append(("parameters (names only)", ", ".join(map(_name, facts.parameters)) or "none"))
    rows.append(("digest of the items as accepted", f'<span class="hash">{facts.items_digest}</span>'))
    return "<h2>Settings</h2>" + _table(("", ""), rows)


def _signatures(facts: Facts) -> str:
    if not facts.final:
        return f'<p class="bad"><b>{_mark(facts)}.</b> There is nothing to sign.</p>'
    lines = "".join(f"<div>{what}</div>" for what in ("Prepared by", "Date", "Reviewed by", "Date"))
    return f'<div class="signatures">{lines}</div>'


def _origin(report: Report) -> str:
    made = report.made
    return (
        f'<footer><p>Digest of these facts, SHA-256: <span class="hash">{report.digest}</span></p>'
        f"<p>Made {_when(made.made_at)} UTC on {_name(made.host)} by everyitem {_name(made.version)}, Python "
        f"{_name(made.python)}, {_name(made.platform)}, from {_name(made.store)}.</p></footer>"
    )


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[int] = ()) -> str:
    """A table of cells that are HTML already."""

    def cells(tag: str, row: Sequence[str]) -> str:
        return "".join(
            f"<{tag}{' class=n' if column in right else ''}>{cell}</{tag}>" for column, cell in enumerate(row)
        )

    head = f"<thead><tr>{cells('th', heads)}</tr></thead>" if any(heads) else ""
    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f'<div class="scroll"><table>{head}<tbody>{body}</tbody></table></div>'


def _text(value: str) -> str:
    """Any text as the content of an element."""
    return html.escape(_UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", value))


def _name(value: str) -> str:
    """A text from outside, which cannot turn the direction of what stands around it."""
    return f"<bdi>{_text(value)}</bdi>"


def _judged(*, passed: bool, yes: str = "passed", no: str = "FAILED") -> str:
    return f'<span class="{"good" if passed else "bad"}">{yes if passed else no}</span>'


def _money(digits: str) -> str:
    """Digits in groups of three."""
    return f"{Decimal(digits):,f}"


def _when(moment: str | None) -> str:
    return _text((moment or "").replace("T", " ").removesuffix("Z"))


def _clock(pace: Pace, *, end: bool) -> str:
    at = datetime.fromtimestamp(pace.end if end else pace.start, UTC)
    return f"{at:%Y-%m-%d %H:%M:%S}"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes:02} min {rest:02} s" if hours else f"{minutes} min {rest:02} s"


def _round_up(value: float) -> float:
    """The next of 1, 2, 2.5, 5 times a power of ten, for the top of an axis."""
    if value <= 0:
        return 1.0
    power = 10.0 ** (len(f"{int(value)}") - 1) if value >= 1 else 10.0 ** -len(f"{int(1 / value)}")
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= value)
