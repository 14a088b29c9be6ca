"""What all tests share: where things are, and the rule for components that may be missing."""

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.faults.rigs.report import FaultsReport
from tests.services.postgres import PostgresMissing, PostgresServer, running_server

ROOT = Path(__file__).resolve().parent.parent

# how fast a machine is says nothing of a property: an example may take as long as it takes
settings.register_profile(
    "patient", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("patient")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--faults-report FILE`: write what ran and how it ended to a page."""
    parser.addoption("--faults-report", type=Path, default=None, metavar="FILE")


def pytest_configure(config: pytest.Config) -> None:
    """Keep the report where one is asked for."""
    if (path := config.getoption("--faults-report")) is not None:
        config.pluginmanager.register(FaultsReport(path))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """In CI a test that needs a component which is missing fails instead of being skipped."""
    report = yield
    if report.skipped and os.environ.get("CI") and item.get_closest_marker("service"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not accept: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


_schemas = itertools.count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server for this session (each of pytest's processes has its own)."""
    try:
        with running_server() as server:
            yield server
    except PostgresMissing as missing:
        pytest.skip(f"no PostgreSQL server: {missing}")


#: Names stores of one kind each: `new_store()` is the URL of a place where nothing is yet.
NewStore = Callable[[], str]


@pytest.fixture(
    params=["sqlite", pytest.param("postgres", marks=pytest.mark.service)],
)
def new_store(request: pytest.FixtureRequest, tmp_path: Path) -> NewStore:
    """Both kinds of store in turn."""
    numbers = itertools.count(1)
    if request.param == "sqlite":
        return lambda: f"sqlite:///{tmp_path / f'store{next(numbers)}.sqlite'}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return lambda: f"{server.url}?schema=s{next(_schemas)}"


@pytest.fixture
def store_name() -> str:
    """A schema nobody uses yet."""
    return f"s{next(_schemas)}"


@pytest.fixture
def store_url(new_store: NewStore) -> str:
    """A store of each kind."""
    return new_store()


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's own store or settings."""
    home = tmp_path_factory.getbasetemp() / "home"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "data"))
    for name in [name for name in os.environ if name.startswith("EVERYITEM_")]:
        monkeypatch.delenv(name)
