"""The command as a whole: its subcommands, their help and their options."""

import inspect
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from everyitem.faces.cli.app import SUBCOMMANDS, build_app
from everyitem.faces.cli.wishes import Wishes, with_wishes

RUNNER = CliRunner()
EXPECTED = (
    "run resume redrive rerun pause cancel settle priority list status watch results failures explain "
    "history checkpoints verify events report alerts plan schema serve token member cyoda prune doctor "
    "simulate"
)


def test_the_subcommands_are_those_of_the_contract():
    """Exactly what this version does; nothing is offered that is not there."""
    assert list(SUBCOMMANDS) == EXPECTED.split()


@pytest.mark.parametrize("name", EXPECTED.split())
def test_the_overview_quotes_each_command(name):
    """The line in the overview is the first sentence of the command's own help."""
    documented = inspect.cleandoc(SUBCOMMANDS[name].load().__doc__).splitlines()[0]
    assert documented == SUBCOMMANDS[name].summary


@pytest.mark.parametrize("name", EXPECTED.split())
def test_every_command_explains_itself_with_an_example(name):
    """`--help` succeeds and shows a complete command line."""
    shown = RUNNER.invoke(build_app(), [name, "--help"], env={"COLUMNS": "100", "NO_COLOR": "1"})
    assert shown.exit_code == 0
    assert f"everyitem {name}" in shown.output.split("Example", 1)[1]


def test_brackets_in_a_help_text_are_shown():
    """Names of tables in the configuration look like markup to the terminal library."""
    for name in ("member", "doctor"):
        shown = RUNNER.invoke(build_app(), [name, "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"}).output
        assert "[cyoda]" in shown


@pytest.mark.parametrize("name", EXPECTED.split())
def test_every_command_takes_store_config_and_json(name):
    """The contract's common options."""
    shown = RUNNER.invoke(build_app(), [name, "--help"], env={"COLUMNS": "100", "NO_COLOR": "1"}).output
    assert "--store" in shown
    assert "--config" in shown
    assert "--json" in shown


@pytest.mark.parametrize(
    "arguments", [["nosuch"], ["run"], ["run", "a", "b"], ["status"], ["run", "x.json", "--nodes", "dask"]]
)
def test_wrong_usage_is_2_with_nothing_on_stdout(arguments):
    """typer's own errors follow the contract."""
    done = RUNNER.invoke(build_app(), arguments)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert done.stderr


def test_a_wrong_value_is_said_without_the_words_of_a_library():
    """What it was, and what there would be."""
    done = RUNNER.invoke(build_app(), ["run", "x.json", "--nodes", "gpu"], env={"COLUMNS": "200"})
    assert "'gpu' is not one of 'thread'" in done.stderr
    assert "Value error" not in done.stderr


def test_starting_loads_neither_rich_nor_pydantic():
    """What a command needs is loaded by that command."""
    script = "import sys, everyitem.faces.cli.app; print({'rich', 'pydantic', 'psutil'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_shared_options_become_wishes():
    """A command gets its own arguments by name and the shared ones as one value."""
    got = {}

    @with_wishes
    def command(wishes: Wishes, batch_id: str, number: int = 3) -> None:
        """Help."""
        got.update(wishes=wishes, batch_id=batch_id, number=number)

    command(batch_id="b", parallelism=4)
    assert got == {"wishes": Wishes(parallelism=4), "batch_id": "b", "number": 3}
    assert "parallelism" in inspect.signature(command).parameters


def test_only_given_options_reach_the_api():
    """What the command line does not say is left to document and settings."""
    assert Wishes().options() == {}
    assert Wishes(parallelism=4, max_retries=0).options() == {"parallelism": 4, "max_retries": 0}
