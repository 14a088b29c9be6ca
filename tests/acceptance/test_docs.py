"""The documentation agrees with the program."""

import re
import subprocess
import sys

import msgspec
import pytest
from pydantic.alias_generators import to_camel
from typer.testing import CliRunner

from everyitem.faces.cli.app import SUBCOMMANDS, build_app
from everyitem.model.alerts import AlertKind, Condition
from everyitem.model.configuration import ProcessingConfiguration
from everyitem.model.status import TRANSITIONS, ExecutionStatus
from everyitem.settings.alerting import Limits

COMMAND = re.compile(r"^\| `([a-z]+)` \|", re.MULTILINE)
OPTION_ROW = re.compile(r"^\| (`--.*?) \| (.*?) \|", re.MULTILINE)


def help_of(command):
    """What `everyitem COMMAND --help` prints, on a terminal wide enough not to cut anything.

    In this process: thirty of their own would cost half a minute.
    """
    app = build_app(loaded=frozenset({command}))
    shown = CliRunner().invoke(
        app, [command, "--help"], env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}
    )
    assert shown.exit_code == 0
    return shown.output


@pytest.fixture(scope="module")
def page(root):
    return (root / "docs/command-line.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def helps(page):
    return {command: help_of(command) for command in COMMAND.findall(page)}


def test_the_page_lists_every_command(page):
    """What `everyitem --help` offers and what the page lists are the same."""
    assert set(COMMAND.findall(page)) == set(SUBCOMMANDS)


def test_every_option_of_the_page_exists_where_it_says(page, helps):
    """An option of the page stands in the help of each command that is said to take it."""
    missing = []
    for options, takers in OPTION_ROW.findall(page):
        commands = [name for name in re.findall(r"`([a-z]+)`", takers) if name in helps]
        if takers == "all":
            commands = [name for name in helps if name != "schema"]
        missing += [
            f"{command} {option}"
            for option in set(re.findall(r"--[a-z-]+", options))
            for command in commands
            if option not in helps[command]
        ]
    assert not missing


def test_every_option_of_run_is_on_the_page(page, helps):
    """Nothing that `run` takes is left unsaid."""
    said, taken = (set(re.findall(r"--[a-z-]*[a-z]", text)) for text in (page, helps["run"]))
    assert taken - {"--help"} <= said


def test_the_architecture_page_names_every_state(root):
    """The picture of the states shows all that the table of legal moves has."""
    text = (root / "docs/architecture.md").read_text(encoding="utf-8")
    assert all(status in text for status in ExecutionStatus)
    assert set(TRANSITIONS) == set(ExecutionStatus)


def test_links_between_pages_lead_somewhere(root):
    """Every relative link of every page names a file that exists."""
    pages = [*root.glob("*.md"), *root.glob("docs/**/*.md"), *root.glob("examples/**/*.md")]
    broken = [
        f"{page.relative_to(root)}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8"))
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert not broken


def test_every_adr_has_the_platforms_sections(root):
    """NNNN-title.md with Status, Date, Context, Decision, Consequences, Alternatives; each number once."""
    records = sorted((root / "docs/adr").glob("[0-9]*.md"))
    numbers = [path.name[:4] for path in records]
    assert numbers == sorted(set(numbers))
    for path in records:
        text = path.read_text(encoding="utf-8")
        assert "**Status:**" in text, path.name
        assert "**Date:**" in text, path.name
        for section in ("Context", "Decision", "Consequences", "Alternatives"):
            assert f"\n## {section}" in text, f"{path.name}: {section}"


def code_blocks(page, language):
    return re.findall(
        rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )


def test_the_readmes_ten_lines_do_what_their_comments_say(root, tmp_path):
    """The example runs as a script, without a main guard, and prints what the README says."""
    script = tmp_path / "positions.py"
    script.write_text(code_blocks(root / "README.md", "python")[0], encoding="utf-8")
    run = subprocess.run(
        [sys.executable, script.name], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert run.returncode == 0, run.stderr
    assert re.search(r'"itemsProcessed": ?2,\s*"itemsSuccessful": ?1,\s*"itemsFailed": ?1', run.stdout)
    assert "short positions are valued elsewhere" in run.stdout


def test_the_documents_of_the_pages_are_accepted(root, tmp_path):
    """What docs/batch-document.md shows can be planned as it stands."""
    (document,) = code_blocks(root / "docs/batch-document.md", "json")
    (tmp_path / "batch.json").write_text(document, encoding="utf-8")
    (tmp_path / "processors.py").write_text(
        "from everyitem import item_processor\n\n\n"
        '@item_processor("value-position")\ndef value_position(item, context):\n    return item["amount"]\n',
        encoding="utf-8",
    )
    run = subprocess.run(
        [sys.executable, "-m", "everyitem", "plan", "batch.json", "--processors", "processors.py", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr + run.stdout


def test_the_pages_defaults_are_the_models(root):
    """The table of docs/batch-document.md gives the defaults that hold when nothing is said."""
    page = (root / "docs/batch-document.md").read_text(encoding="utf-8")
    rules = ProcessingConfiguration(processor="any")
    for field, default in {
        "maxRetryAttempts": rules.retry.max_retries,
        "retry.initialDelayMs": f"{rules.retry.initial_delay * 1000:.0f}",
        "retry.multiplier": rules.retry.multiplier,
        "retry.maxDelayMs": f"{rules.retry.max_delay * 1000:.0f}",
        "retry.jitter": f"`{rules.retry.jitter.value}`",
        "checkpointInterval": rules.checkpoint_interval,
        "checkpointIntervalSeconds": f"{rules.checkpoint_interval_seconds:g}",
        "timeoutHours": f"{rules.timeout / 3600:g}",
        "defaultParallelism": rules.parallelism,
        "errorHandlingStrategy": f"`{rules.strategy.value}`",
    }.items():
        row = rf"^\| `{re.escape(field)}` \|.*\| {re.escape(str(default))} \|$"
        assert re.search(row, page, re.MULTILINE), field


@pytest.mark.parametrize("page", ["docs/observability.md", "docs/operations.md"])
def test_every_alert_is_explained(root, page):
    """From when on it comes, and what to do then."""
    text = (root / page).read_text(encoding="utf-8")
    rows = "\n".join(re.findall(r"^\| (`[a-z`, -]+`) \|", text, re.MULTILINE))
    assert {kind for kind in AlertKind if f"`{kind}`" not in rows} == set()


def test_the_alert_table_gives_the_limits_and_levels_that_hold(root):
    """Names and defaults are those of the settings."""
    text = (root / "docs/observability.md").read_text(encoding="utf-8")
    for name, default in msgspec.structs.asdict(Limits()).items():
        assert f"`{to_camel(name)}` {default:g}" in text, name
    for kind in AlertKind:
        assert f"| `{kind}` | {Condition(kind, '').level} |" in text
