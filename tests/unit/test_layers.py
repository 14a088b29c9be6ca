"""The picture of docs/architecture.md, as far as the import contract cannot check it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "src" / "everyitem"
WORKER_SIDE = ("model", "ports", "work")
HEAVY = ("asyncio", "pydantic", "pydantic_settings", "rich", "sqlite3", "typer")


def imported_modules(source: Path) -> set[str]:
    """Full names of everything a file imports, at its top or inside functions."""
    found = set()
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            if (
                module == "everyitem"
            ):  # `from everyitem import compose` imports a module, not the root's names
                found.update(f"everyitem.{alias.name}" for alias in node.names if is_module(alias.name))
                found.update("everyitem" for alias in node.names if not is_module(alias.name))
            else:
                found.add(module)
    return found


def is_module(name: str) -> bool:
    return (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file()


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (PACKAGE / folder).rglob("*.py"))


def loaded_after(statement: str) -> set[str]:
    """The modules a fresh interpreter holds after a statement."""
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(PACKAGE.parent)},
    )
    return set(run.stdout.split())


@pytest.mark.parametrize("source", sources(*WORKER_SIDE), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_code_that_runs_beside_the_users_imports_only_stdlib_and_msgspec(source):
    """A worker process starts in milliseconds, because it needs next to nothing."""
    roots = {module.partition(".")[0] for module in imported_modules(source)}
    assert roots <= sys.stdlib_module_names | {"msgspec", "everyitem"}


@pytest.mark.parametrize("source", sources("."), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_imports_the_package_root_or_relatively(source):
    """Imports from the root are how import cycles begin."""
    modules = imported_modules(source)
    assert not {module for module in modules if module.startswith(".")}
    assert "everyitem" not in modules


@pytest.mark.parametrize("source", sources("."), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_loads_objects_from_data(source):
    """No pickle, no marshal, no shelve: what is at rest can never build arbitrary objects."""
    assert not {"pickle", "marshal", "shelve", "dill", "cloudpickle"} & imported_modules(source)


@pytest.mark.parametrize(
    "name", ["dealer", "ledger", "messages", "queues", "retries", "segments", "state", "storms"]
)
def test_the_engines_decisions_have_no_input_or_output(name):
    """Only the runtime around the state machine knows threads, clocks, chance and files."""
    impure = {"threading", "queue", "time", "datetime", "random", "os", "socket", "sqlite3", "subprocess"}
    assert not impure & imported_modules(PACKAGE / "engine" / f"{name}.py")


def test_importing_everyitem_loads_nothing_heavy():
    """`import everyitem` costs a worker, a script and a notebook next to nothing."""
    assert not loaded_after("import everyitem").intersection(HEAVY)


def test_declaring_an_item_processor_loads_nothing_heavy():
    """A user's module of item processors is as cheap as what it imports itself."""
    statement = "from everyitem import PermanentItemError, RetryLater, chunk_processor, item_processor"
    assert not loaded_after(statement).intersection(HEAVY)


@pytest.mark.parametrize("module", ["everyitem.model.outcome", "everyitem.work.loop"])
def test_a_worker_loads_nothing_it_does_not_need(module):
    """Neither the engine nor adapters nor any library of the faces."""
    loaded = loaded_after(f"import {module}")
    assert not loaded.intersection(HEAVY)
    assert not {name for name in loaded if name.startswith(("everyitem.engine", "everyitem.adapters.stores"))}
